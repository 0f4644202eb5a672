"""JSON as fal sends it; pure."""

import re
from typing import TypeVar

import msgspec

_T = TypeVar("_T")
# An escape: a surrogate pair, half of one, or anything else.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
REPLACEMENT = "\ufffd"
_ESCAPED_REPLACEMENT = rb"\ufffd"


def decode(text: bytes, shape: type[_T]) -> _T:
    """`text` as `shape`; what is kept Raw stays byte for byte what it was.

    But for half a surrogate pair, which is what remains of an emoji that a model or a program has cut: it is read as
    U+FFFD, since RFC 8259 section 8.2 allows it, no parser of ours does, and an outcome must not be lost for it.
    Raises msgspec.DecodeError, UnicodeDecodeError and RecursionError.
    """
    text.decode()  # msgspec skips over what it keeps raw, and nothing but UTF-8 may reach the clients
    try:
        return msgspec.json.decode(text, type=shape)
    except msgspec.DecodeError:
        whole = _ESCAPE.sub(lambda found: _ESCAPED_REPLACEMENT if found["half"] else found[0], text)
        if whole == text:
            raise
        return msgspec.json.decode(whole, type=shape)
