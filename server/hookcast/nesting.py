"""Nesting depth of JSON, measured before parsing; pure.

msgspec does not parse Raw values but recurses through them, and so do clients' parsers: Python's fails at depth 1,000,
others overflow their stack. fal's own results are less than ten deep.
"""

from itertools import accumulate

MAX_DEPTH = 200
BLOCK = 256 * 1024  # bytes processed at once, to bound the memory that splitting takes
INNERMOST = 4
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # 1 and -1 as signed bytes
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))


def too_deep(text: bytes, limit: int = MAX_DEPTH) -> bool:
    """Return whether arrays and objects are nested more than `limit` deep; undefined for text that is not JSON.

    Linear, without a parser. Most texts have fewer brackets than `limit` in total.
    """
    if text.count(b"[") + text.count(b"{") <= limit:
        return False
    steps = _brackets(text).translate(_STEPS)
    for _ in range(INNERMOST):  # each pass removes exactly the innermost level, and most of the text with it
        steps = steps.replace(b"\x01\xff", b"")
    for run in (64, 16, 4, 2):  # the maximum is at the end of a run of openings: count each run as one step
        steps = steps.replace(b"\x01" * run, bytes([run])).replace(b"\xff" * run, bytes([256 - run]))
    return max(accumulate(memoryview(steps).cast("b")), default=0) + INNERMOST > limit


def _brackets(text: bytes) -> bytes:
    """Return the brackets of a text, without those in strings."""
    bare = text.replace(rb"\\", b"").replace(rb"\"", b"")
    found, quoted = [], 0
    for start in range(0, len(bare), BLOCK):
        parts = bare[start : start + BLOCK].split(b'"')
        found.append(b"".join(parts[quoted::2]).translate(None, _NO_BRACKETS))
        quoted = (quoted + len(parts) - 1) % 2
    return b"".join(found)
