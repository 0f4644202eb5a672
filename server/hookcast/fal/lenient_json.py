"""Lenient parsing of the JSON that fal sends; pure."""

import json
import math
import re
from typing import Any, TypeVar

import msgspec

from hookcast.nesting import too_deep

_T = TypeVar("_T")
# An escape: a surrogate pair, a lone surrogate, or anything else.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MAX_DIGITS = 100
REPLACEMENT = "\ufffd"
_ESCAPED_REPLACEMENT = rb"\ufffd"


def decode(text: bytes, shape: type[_T]) -> _T:
    """Decode `text` as `shape`; Raw values stay byte for byte, except for lone surrogates.

    A lone surrogate remains when a model or a program cuts an emoji. It is read as U+FFFD: RFC 8259 section 8.2 allows
    it, our parsers do not, and the outcome must not be lost. Raises msgspec.DecodeError,
    UnicodeDecodeError and RecursionError.
    """
    text.decode()  # msgspec does not validate Raw values, and clients must receive only UTF-8
    try:
        return msgspec.json.decode(text, type=shape)
    except msgspec.DecodeError:
        whole = _ESCAPE.sub(lambda found: _ESCAPED_REPLACEMENT if found["half"] else found[0], text)
        if whole == text:
            raise
        return msgspec.json.decode(whole, type=shape)


def read(text: bytes) -> object:
    """Return the JSON value, as far as it can be read.

    Accepts invalid JSON that servers do send: NaN and numbers of any size (None when they are not finite), control
    characters in strings, a byte order mark, bytes that are not UTF-8. Raises ValueError when the text is still not
    JSON, or nested too deep.
    """
    if too_deep(text):
        raise ValueError("nested too deep")
    try:
        return decode(text, Any)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    plain = text.decode("utf-8-sig", errors="replace")
    return json.loads(plain, strict=False, parse_constant=lambda _: None, parse_int=_whole, parse_float=_finite)


def _whole(digits: str) -> int | None:
    return int(digits) if len(digits) <= MAX_DIGITS else None


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None
