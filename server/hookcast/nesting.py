"""How deep JSON is nested, found before anything parses it; pure.

msgspec does not parse what it keeps raw, but it walks through it by recursion, and so do the clients' parsers: Python's
gives up at 1,000, others overflow their stack. fal's own results are less than ten deep.
"""

from itertools import accumulate

MAX_DEPTH = 200
BLOCK = 256 * 1024  # looked at in one piece, so that splitting it takes little memory
INNERMOST = 4
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # 1 and -1 as signed bytes
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))


def too_deep(text: bytes, limit: int = MAX_DEPTH) -> bool:
    """Whether arrays and objects stand more than `limit` deep in one another; of text that is no JSON, either answer.

    Linear, without a parser. Most texts have no more brackets than that in all.
    """
    if text.count(b"[") + text.count(b"{") <= limit:
        return False
    steps = _brackets(text).translate(_STEPS)
    for _ in range(INNERMOST):  # each time exactly the innermost level goes, and most of the text with it
        steps = steps.replace(b"\x01\xff", b"")
    for run in (64, 16, 4, 2):  # the depth is greatest where a run of openings ends: runs count as one step
        steps = steps.replace(b"\x01" * run, bytes([run])).replace(b"\xff" * run, bytes([256 - run]))
    return max(accumulate(memoryview(steps).cast("b")), default=0) + INNERMOST > limit


def _brackets(text: bytes) -> bytes:
    """Its brackets, without those in strings."""
    bare = text.replace(rb"\\", b"").replace(rb"\"", b"")
    found, quoted = [], 0
    for start in range(0, len(bare), BLOCK):
        parts = bare[start : start + BLOCK].split(b'"')
        found.append(b"".join(parts[quoted::2]).translate(None, _NO_BRACKETS))
        quoted = (quoted + len(parts) - 1) % 2
    return b"".join(found)
