"""Check the strength of keys and secrets; pure."""

import re
from itertools import pairwise

KEY_BYTES = 16
SECRET_BYTES = 32  # RFC 7518 section 3.2
MAX_TOKEN_SECONDS = 30 * 24 * 3600  # longest lifetime that the server and the command sign
FEW = 6  # distinct characters; 16 random hexadecimal digits nearly always have more
RUN = 4  # neighbours in a row, like 1234 or qwer
_PLACEHOLDER = re.compile(r"change(me|this|it)|replace(me|this)|your(api)?(key|secret|token)|placeholder|256bit")
_TEMPLATE = re.compile(r"<.*>|\[.*\]|\$?\{.*\}|\$[A-Z][A-Z0-9_]*|%[A-Z][A-Z0-9_]*%", re.DOTALL)  # not filled in
_WORDS = re.compile(
    r"secret|password|passwd|pass|test|key|token|api|admin|super|my|your|example|sample|demo|default|hookcast|webhook|"
    r"development|production|staging|dev|prod|jwt|hs256|long|random|string|characters?|bytes?|bits?|least|minimum|"
    r"with|this|that|not|use|for|very|letmein|welcome"
)
_ROWS = ("0123456789", "1234567890", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = frozenset(pair for row in _ROWS for line in (row, row[::-1]) for pair in pairwise(line))


def weakness(text: str, least: int) -> str | None:
    """Return the reason why the text is easy to guess, or None. `least` is the number of bytes required."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size < least:
        return f"is too short ({size} of {least} bytes)"
    plain = re.sub(r"[-_.\s]", "", text.lower())
    if _PLACEHOLDER.search(plain) or _TEMPLATE.fullmatch(text):
        return "is a placeholder"
    woven = _without_runs(plain[::2]) + _without_runs(plain[1::2])  # a1b2c3d4
    if min(len(set(text)) for text in (_without_runs(_WORDS.sub("", plain)), woven)) < FEW or _repeats(plain):
        return "is easy to guess"
    return None


def _without_runs(text: str) -> str:
    """Return the text without its runs of neighbours in the alphabet, among the digits or on a keyboard."""
    kept, run = "", ""
    for character in text:
        if run and (run[-1], character) not in _NEIGHBOURS:
            kept, run = kept + (run if len(run) < RUN else ""), ""
        run += character
    return kept + (run if len(run) < RUN else "")


def _repeats(text: str) -> bool:
    """Return whether the text is one piece repeated, the last time perhaps in part."""
    return any(text[size:] == text[:-size] for size in range(1, len(text) // 2 + 1))
