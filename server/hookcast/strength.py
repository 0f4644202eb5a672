"""Check the strength of keys and secrets; pure."""

import re

KEY_BYTES = 16
SECRET_BYTES = 32  # RFC 7518 section 3.2
FEW = 6  # distinct characters; 16 random hexadecimal digits nearly always have more
_PLACEHOLDER = re.compile(r"change(me|this|it)|replace(me|this)|your(api)?(key|secret|token)|placeholder|256bit")
_WORDS = re.compile(
    r"secret|password|passwd|pass|test|key|token|api|admin|super|my|your|example|sample|demo|dev|default|hookcast"
)


def weakness(text: str, least: int) -> str | None:
    """Return the reason why the text is easy to guess, or None. `least` is the number of bytes required."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size < least:
        return f"is too short ({size} of {least} bytes)"
    plain = re.sub(r"[-_.\s]", "", text.lower())
    if _PLACEHOLDER.search(plain):
        return "is a placeholder"
    if len(set(_WORDS.sub("", plain))) < FEW or _repeats(plain):
        return "is easy to guess"
    return None


def _repeats(text: str) -> bool:
    """Return whether the text is one piece repeated, the last time perhaps in part."""
    return any(text[size:] == text[:-size] for size in range(1, len(text) // 2 + 1))
