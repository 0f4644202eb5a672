"""Readable sentences from the errors of fal and of the model's own server; pure.

fal writes `{"detail": "text"}` or FastAPI's `{"detail": [{loc, msg, type}]}`. A model's server may write anything: a
sentence is looked for under the usual names at any depth.
"""

import re
from collections.abc import Iterator
from enum import IntEnum
from http import HTTPStatus
from itertools import chain, islice
from typing import NamedTuple

from msgspec import Raw

from hookcast.fal.lenient_json import read

MAX_SENTENCE = 500
MAX_DEPTH = 6
MAX_VALUES = 1000  # looked at in one source, which may be a payload of any size
MAX_PARSED_BYTES = 8 * 1024 * 1024
UNKNOWN_REASON = "fal reported an error without giving a reason."

_NAMES = (
    *("detail", "message", "msg", "error", "errors", "errormessage", "errormsg", "errordetail", "errordescription"),
    *("details", "description", "reason", "failurereason", "exception", "cause", "title"),
)
_LIKE = re.compile("err|fail|reason|mess|msg|detail|cause|problem|refus|reject|block|(?<!de)fault|invalid|violat")
_NAMELESS = ("text", "content", "hint", "info", "value", "en")  # say nothing about what their text is about
_NO_REASON = ("input", "ctx", "url")  # FastAPI repeats the input
_CODES = ("code", "errorcode", "errortype", "type")
_WORDLESS = re.compile(
    r"(?:error:\s*)?(?:invalid|unexpected|bad|error|(?:request )?failed with)?"
    r"\s*(?:http\s*)?(?:status)?\s*(?:code)?:?\s*\d{3}"
    r"|error|unknown error|internal error|failed|failure|none|null|undefined",
    re.IGNORECASE,
)
_PHRASES = frozenset(status.phrase.lower() for status in HTTPStatus)
_CODE = re.compile(r"[a-z0-9]+(?:[_.-][a-z0-9]+)*|[A-Z0-9]+(?:_[A-Z0-9]+)+")
_PAGE = re.compile(r"<(?:!doctype|\?xml|html|head|body|title|svg)\b", re.IGNORECASE)
_MARKUP = re.compile(r"\s*<(?:center|div|h\d|p|pre|script|span|table)\b", re.IGNORECASE)
_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")  # colors, links (ECMA-48)
_CONTROLS: dict[int, str | None] = {**dict.fromkeys((*range(32), *range(127, 160))), 0: "\ufffd"}


class Worth(IntEnum):
    """The amount of information in a text."""

    NOTHING = 0  # `Invalid status code: 422`, `Bad Request`
    LOOSE = 1  # within an error, under any name: `{"error": {"prompt": "is too long"}}`
    CODE = 2  # `content_policy_violation`
    STRAY = 3  # under a name that is not an error's: `{"prompt": ["too long"]}`
    SENTENCE = 4


class _Candidate(NamedTuple):
    text: str
    worth: Worth


def sentence(*sources: object, otherwise: str = UNKNOWN_REASON) -> str:
    """Return the most informative text, the first of equal ones; `otherwise` when there is none.

    A source is a JSON value, parsed or Raw, or plain text. Of several details the first is used, with the input it is
    about: `prompt: Field required`. HTML is never returned.
    """
    candidates = chain.from_iterable(_Search().of(source) for source in sources)
    best = max(candidates, key=lambda candidate: candidate.worth, default=None)
    return _bounded(otherwise if best is None else best.text)


def is_page(text: str) -> bool:
    """Return whether the text is HTML or XML rather than a sentence."""
    return _PAGE.search(text) is not None or _MARKUP.match(text) is not None


def clean(text: str) -> str:
    """Return the text in one line, without control characters; U+FFFD replaces a NUL, which PostgreSQL cannot store."""
    plain = _TERMINAL.sub("", text) if "\x1b" in text else text
    return " ".join(plain.encode(errors="replace").decode().split()).translate(_CONTROLS)


def error_type_of(value: object) -> str | None:
    """Return the `error_type` of an error body: one word."""
    found = value.get("error_type") if isinstance(value, dict) else None
    return found if isinstance(found, str) and 0 < len(found) <= 100 and found.isprintable() else None


class _Search:
    """One walk through a source, over at most `MAX_VALUES` of its values."""

    def __init__(self) -> None:
        self._left = MAX_VALUES

    def of(self, source: object, depth: int = 0, *, within: bool = False) -> Iterator[_Candidate]:
        """Yield the candidates in a source; `within` = it stands under the name of an error."""
        self._left -= 1
        if depth > MAX_DEPTH or self._left < 0:
            return
        if isinstance(source, Raw):
            source = _parsed(bytes(source))
        if isinstance(source, str):
            yield from self._of_text(source, depth, within=within)
        elif isinstance(source, list):
            for item in islice(source, self._left + 1):
                yield from self.of(item, depth + 1, within=within)
        elif isinstance(source, dict):
            yield from self._of_object(source, depth, within=within)

    def _of_text(self, text: str, depth: int, *, within: bool) -> Iterator[_Candidate]:
        if text.lstrip()[:1] in {"{", "["} and (parsed := _parsed(text.encode(errors="replace"))) is not None:
            yield from self.of(parsed, depth + 1, within=within)
            return
        page = _PAGE.search(text)
        plain = clean(text[: min(page.start() if page else len(text), MAX_SENTENCE * 4)])
        if plain and not is_page(plain):
            yield _Candidate(plain, _worth(plain))

    def _of_object(self, found: dict[str, object], depth: int, *, within: bool) -> Iterator[_Candidate]:
        named = {_plain(name): value for name, value in islice(found.items(), self._left + 1)}
        where = _place(named.pop("loc", None))
        codes = [named.pop(name, None) for name in _CODES]
        for name in (*_NAMES, *[name for name in named if _LIKE.search(name) and name not in _NAMES]):
            for text, worth in self.of(named.pop(name, None), depth + 1, within=True):
                yield _Candidate(f"{where}{text}", worth)
        for code in codes:
            if isinstance(code, str) and clean(code):
                yield _Candidate(f"{where}{clean(code)}", Worth.CODE)
        for name, value in named.items():
            yield from self._of_stray(name, value, depth, within=within)

    def _of_stray(self, name: str, value: object, depth: int, *, within: bool) -> Iterator[_Candidate]:
        """Yield the candidates under a name that is not an error's.

        Lists of texts are about that name, and so is a text within an error.
        """
        if isinstance(value, list):
            for item in islice(value, self._left + 1):
                if isinstance(item, str):
                    for text, worth in self.of(item, depth + 1):
                        yield _Candidate(f"{clean(name)}: {text}", min(worth, Worth.STRAY))
                else:
                    yield from self.of(item, depth + 1, within=within)
        elif isinstance(value, dict) or (isinstance(value, str) and value.startswith(("{", "["))):
            yield from self.of(value, depth + 1, within=within)
        elif within and isinstance(value, str) and _has_words(value) and name not in _NO_REASON:
            about = "" if name in _NAMELESS or name.isdigit() else f"{clean(name)}: "
            for text, worth in self.of(value, depth + 1):
                yield _Candidate(f"{about}{text}", min(worth, Worth.LOOSE))


def _parsed(text: bytes) -> object:
    try:
        return read(text) if len(text) <= MAX_PARSED_BYTES else None
    except ValueError:
        return None


def _has_words(text: str) -> bool:
    return (" " in text.strip() or not text.isascii()) and "://" not in text


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _place(loc: object) -> str:
    """Return FastAPI's `loc` as a prefix: `prompt: `."""
    parts = [loc] if isinstance(loc, str) else loc if isinstance(loc, list) else []
    named = [clean(str(part)) for part in parts[:10] if isinstance(part, (str, int)) and part != "body"]
    return f"{'.'.join(named)}: " if named else ""


def _worth(text: str) -> Worth:
    bare = text.strip(" .!")
    if bare.lower() in _PHRASES or _WORDLESS.fullmatch(bare):
        return Worth.NOTHING
    return Worth.CODE if _CODE.fullmatch(bare) else Worth.SENTENCE


def _bounded(text: str) -> str:
    return text if len(text) <= MAX_SENTENCE else text[: MAX_SENTENCE - 1] + "…"
