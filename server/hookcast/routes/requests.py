"""Read a request's JSON and names, within limits."""

from datetime import datetime
from typing import Annotated, TypeVar, cast

import msgspec
from starlette.requests import HTTPConnection, Request

from hookcast.errors import BadPath, InvalidRequest
from hookcast.jobs import valid_request_id
from hookcast.labels import MAX_LENGTH, is_label
from hookcast.nesting import MAX_DEPTH, too_deep
from hookcast.routes.services import services

RESERVED_IDS = frozenset({"events", "ws", "refused"})
_T = TypeVar("_T")


async def read_json(request: Request, shape: type[_T], limit: int) -> _T:
    """Return the body of an authorized caller, decoded as `shape`. Raises InvalidRequest naming the first error."""
    with services(request).uploads.share() as share:
        body = await share.read(request, limit)
    if too_deep(body):
        raise InvalidRequest(f"The body is nested more than {MAX_DEPTH} levels deep.")
    try:
        body.decode()
        return msgspec.json.decode(body or b"{}", type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"The body is not valid: {error}.") from None


def request_id_of(request: Request) -> str:
    """Return the requestId of the path. Raises BadPath."""
    request_id: str = request.path_params["request_id"]
    if not valid_request_id(request_id) or request_id in RESERVED_IDS:
        raise BadPath("A requestId has 1 to 200 printable characters, no '..', and is not 'events', 'ws' or 'refused'.")
    return request_id


def header(request: HTTPConnection, name: bytes) -> str | None:
    """Return the first header of this name (in lower case), or None; Starlette's own look-up costs five times this."""
    for found, value in request.scope["headers"]:
        if found == name:
            return cast("bytes", value).decode("latin-1")
    return None


def parameter(request: HTTPConnection, name: str) -> str | None:
    """Return a query parameter, or None if it is absent; a query that cannot have it is not parsed."""
    query: bytes = request.scope["query_string"]
    return request.query_params.get(name) if b"%" in query or name.encode() in query else None


def label(request: Request, name: str) -> str | None:
    """Return a query parameter that names an owner or a group, or None if it is absent. Raises InvalidRequest."""
    text = parameter(request, name)
    if text is not None:
        check_label(name, text)
    return text


def flag(request: Request, name: str) -> bool:
    """Return whether a query parameter is set: 1 or true. Raises InvalidRequest."""
    text = request.query_params.get(name, "0")
    if text not in {"0", "1", "false", "true"}:
        raise InvalidRequest(f"{name} must be 1, or left out.")
    return text in {"1", "true"}


def moment(request: Request, name: str) -> datetime | None:
    """Return a query parameter that is a time (RFC 3339), or None if it is absent. Raises InvalidRequest."""
    text = parameter(request, name)
    try:
        return None if text is None else msgspec.convert(text, Annotated[datetime, msgspec.Meta(tz=True)])
    except (msgspec.ValidationError, UnicodeEncodeError):
        raise InvalidRequest(f"{name} must be a time such as 2026-11-29T10:00:00Z.") from None


def check_label(name: str, text: str) -> None:
    """Raise InvalidRequest unless `text` is a valid name of an owner or a group."""
    if not is_label(text):
        raise InvalidRequest(f"{name} must have 1 to {MAX_LENGTH} characters, none of them a control character.")
