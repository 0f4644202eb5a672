"""The files that a result names, by their places in its JSON; pure.

A file is a string that is as a whole an http(s) URL or a base64 `data:` URI, wherever it stands, except under names of
texts. What it is fetched as decides whether it is kept (`types`). The result is never written again: links replace the
bytes of their strings, and every other byte stays as it came.
"""

import binascii
import json
import re
from collections.abc import Iterator
from itertools import islice

from msgspec import Struct

from hookcast.media.failures import Left, Reason
from hookcast.splicing import Spot

MAX_FILES = 500
MAX_TOKENS = 1_000_000
MAX_URL = 8192  # characters
SLICE = 768 * 1024  # characters of base64 decoded at once

_START = re.compile(rb'"(?=https?:|data:)', re.IGNORECASE)
_TOKEN = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"(\s*:)?|[{}\[\]]', re.DOTALL)
_URL = re.compile(r"https?://[^\s\x00-\x20\x7f\"<>\\^`{|}]+", re.IGNORECASE)
_DATA = re.compile(rb"data:([\w.+-]+\\?/[\w.+-]+)?((?:;[\w.-]+=[\w.-]*)*);base64,", re.IGNORECASE)
_BASE64 = re.compile(rb"[A-Za-z0-9+/_\\-]++={0,2}+(?:\\r|\\n)*+")  # of a JSON string: / may be \/; lines may end
_ESCAPES = (b"\\/", b"\\n", b"\\r")
_STANDARD = bytes.maketrans(b"-_", b"+/")
_TEXTS = re.compile(
    rb"(?:.*_)?(?:prompts?|texts?|captions?|descriptions?|titles?|lyrics|transcripts?|transcriptions?|messages?"
    rb"|content|contents|reasoning|logs?|quer(?:y|ies)|answers?|summary|error|detail)",
    re.IGNORECASE,
)
_FILE_NAMES = frozenset({b"content_type", b"file_name", b"file_size"})  # fal's File has one of them beside `url`


class Found(Struct, frozen=True):
    """A file that a result names. `source` is its URL, or for a data URI what precedes the data: `data:image/png`.

    `called_a_file`: at one place at least, it stands in an object of the shape of fal's File.
    """

    source: str
    spots: tuple[Spot, ...]
    called_a_file: bool
    inline: bool = False


class _Level:
    """An object or array that is not closed yet. An array's strings stand under the array's own name."""

    __slots__ = ("array", "is_file", "name", "urls")

    def __init__(self, *, array: bool, name: bytes) -> None:
        self.array = array
        self.name = name
        self.urls: list[bytes] = []
        self.is_file = False


def files(result: bytes) -> list[Found]:
    """Return the files that a result names, in order of their first places, at most `MAX_FILES`.

    A result without links takes one search, data URIs hardly more. Of a result that has more than `MAX_TOKENS` strings
    and brackets, the first ones are read: about a second's work.
    """
    if _START.search(result) is None:
        return []
    spots: dict[bytes, list[Spot]] = {}
    called: set[bytes] = set()
    levels = [_Level(array=True, name=b"")]
    for token in islice(_TOKEN.finditer(result), MAX_TOKENS):
        level = levels[-1]
        text = token[1]
        if text is None:
            _bracket(token[0], levels, called)
        elif token[2] is not None:
            level.name = text
            level.is_file = level.is_file or text in _FILE_NAMES
        elif _names_a_file(text) and not _TEXTS.fullmatch(level.name) and (text in spots or len(spots) < MAX_FILES):
            spots.setdefault(text, []).append(Spot(token.start(), token.start() + len(text) + 2))
            if level.name == b"url" and not level.array:
                level.urls.append(text)
    return [_found(text, places, text in called) for text, places in spots.items()]


def declared_type(source: str) -> str | None:
    """Return the type that a data URI declares."""
    return source.removeprefix("data:") or None


def inline_content(result: bytes, spot: Spot) -> Iterator[bytes]:
    """Yield the data of a data URI in pieces of at most `SLICE` bytes. Raise Left when it is not base64."""
    rest = b""
    for at in range(result.index(b",", spot.start) + 1, spot.end - 1, SLICE):
        piece = rest + result[at : min(at + SLICE, spot.end - 1)]
        whole = piece.removesuffix(b"\\")  # `\/` is one character: not parted
        part = _without_escapes(whole).translate(_STANDARD)
        usable = len(part) - len(part) % 4
        rest = part[usable:] + piece[len(whole) :]
        yield _decoded(part[:usable])
    if rest:
        yield _decoded(rest + b"=" * (-len(rest) % 4))


def _without_escapes(data: bytes) -> bytes:
    """Return the base64 of a JSON string: `/` for its escape, nothing for the ends of lines."""
    if b"\\" not in data:
        return data
    return data.replace(b"\\n", b"").replace(b"\\r", b"").replace(b"\\", b"")


def _decoded(part: bytes) -> bytes:
    try:
        return binascii.a2b_base64(part, strict_mode=True) if part else b""
    except binascii.Error:
        raise Left(Reason.UNREADABLE, "The data URI is not valid base64.") from None


def _bracket(bracket: bytes, levels: list[_Level], called: set[bytes]) -> None:
    if bracket in b"{[":
        levels.append(_Level(array=bracket == b"[", name=levels[-1].name))
    elif len(levels) > 1:
        closed = levels.pop()
        if closed.is_file:
            called.update(closed.urls)


def _names_a_file(text: bytes) -> bool:
    start = text[:5].lower()
    if start == b"data:":
        head = _DATA.match(text)
        whole = head is not None and _BASE64.fullmatch(text, head.end()) is not None
        return whole and text.count(b"\\") == sum(map(text.count, _ESCAPES))
    if start not in {b"https", b"http:"}:
        return False
    return len(text) <= 2 * MAX_URL and (url := _plain(text)) is not None and len(url) <= MAX_URL


def _plain(text: bytes) -> str | None:
    """Return the URL in a JSON string's bytes, None when it is none."""
    try:
        url: str = json.loads(b'"%b"' % text)
    except ValueError:
        return None
    return url if _URL.fullmatch(url) else None


def _found(text: bytes, spots: list[Spot], called_a_file: bool) -> Found:
    head = _DATA.match(text)
    if head is None:
        return Found(_plain(text) or "", tuple(spots), called_a_file)
    declared = (head[1] or b"").replace(b"\\", b"").decode().lower()
    return Found(f"data:{declared}", tuple(spots), called_a_file, inline=True)
