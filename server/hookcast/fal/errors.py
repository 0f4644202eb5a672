"""Readable sentences from fal's error bodies; pure."""

import msgspec
from msgspec import Raw, Struct

MAX_SENTENCE = 1000
UNKNOWN_REASON = "fal reported an error without giving a reason."


class _Detail(Struct):
    msg: str
    loc: list[str | int] = []


class _Body(Struct):
    detail: str | list[_Detail] | None = None
    message: str | None = None


def sentence(body: Raw | None, fallback: str | None = None) -> str:
    """Return the reason in `{"detail": "text"}` or `{"detail": [{loc, msg, type}]}`, else `fallback`, else a default.

    Of several details the first is used, with the input it is about: `prompt: Field required`.
    """
    found = _reason(body) or fallback or UNKNOWN_REASON
    return found if len(found) <= MAX_SENTENCE else found[: MAX_SENTENCE - 1] + "…"


def _reason(body: Raw | None) -> str | None:
    if body is None:
        return None
    try:
        parsed = msgspec.json.decode(body, type=_Body | str | None)
    except (msgspec.DecodeError, RecursionError):
        return None
    if parsed is None or isinstance(parsed, str):
        return parsed
    if isinstance(parsed.detail, list):
        return _about(parsed.detail[0]) if parsed.detail else parsed.message
    return parsed.detail or parsed.message


def _about(detail: _Detail) -> str:
    where = [str(part) for part in detail.loc if part != "body"]
    return f"{'.'.join(where)}: {detail.msg}" if where else detail.msg
