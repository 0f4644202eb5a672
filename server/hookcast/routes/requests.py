"""Read the body and parameters of a request, within limits."""

import asyncio
from typing import TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from hookcast.errors import BadPath, BodyTimeout, BodyTooLarge, InvalidRequest
from hookcast.jobs import valid_request_id
from hookcast.labels import MAX_LENGTH, is_label
from hookcast.nesting import MAX_DEPTH, too_deep

BODY_SECONDS = 30.0
BODY_RATE = 16 * 1024  # bytes/s; each second's worth extends the deadline by a second
RESERVED_IDS = frozenset({"events", "ws"})
_T = TypeVar("_T")


async def read_body(request: Request, limit: int) -> bytes:
    """Return the raw body of at most `limit` bytes. Raises BodyTooLarge and BodyTimeout.

    The deadline grows with the data received: a client cannot hold a connection by trickling bytes, and an upload over
    a slow link has the time it needs.
    """
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > limit:
        raise BodyTooLarge(f"The body has {announced} bytes; at most {limit} are taken.")
    body, began = bytearray(), asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout_at(began + BODY_SECONDS) as deadline:
            async for chunk in request.stream():
                if len(body) + len(chunk) > limit:
                    raise BodyTooLarge(f"The body has more than {limit} bytes.")
                body += chunk
                deadline.reschedule(began + BODY_SECONDS + len(body) / BODY_RATE)
    except TimeoutError:
        raise BodyTimeout(f"After {BODY_SECONDS:g} s a body must come with {BODY_RATE // 1024} KiB/s.") from None
    except ClientDisconnect:
        raise BodyTimeout("The connection closed before the body had arrived.") from None
    return bytes(body)


async def read_json(request: Request, shape: type[_T], limit: int) -> _T:
    """Return the body decoded as `shape`. Raises InvalidRequest with the place of the first error."""
    body = await read_body(request, limit)
    if too_deep(body):
        raise InvalidRequest(f"The body is nested more than {MAX_DEPTH} levels deep.")
    try:
        body.decode()
        return msgspec.json.decode(body or b"{}", type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"The body is not as documented: {error}.") from None


def request_id_of(request: Request) -> str:
    """Return the requestId of the path. Raises BadPath."""
    request_id: str = request.path_params["request_id"]
    if not valid_request_id(request_id) or request_id in RESERVED_IDS:
        raise BadPath("A requestId has 1 to 200 printable characters, no '..', and is not 'events' or 'ws'.")
    return request_id


def number(request: Request, name: str, low: float, high: float) -> float | None:
    """Return a query parameter between two bounds, or None if it is absent. Raises InvalidRequest."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise InvalidRequest(f"{name} must be a number from {low:g} to {high:g}.")
    return value


def whole_number(request: Request, name: str, low: int, high: int) -> int | None:
    """Return a query parameter as `number` does, but as an integer. Raises InvalidRequest."""
    value = number(request, name, low, high)
    if value is not None and value != int(value):
        raise InvalidRequest(f"{name} must be a whole number.")
    return None if value is None else int(value)


def label(request: Request, name: str) -> str | None:
    """Return a query parameter that names an owner or a group, or None if it is absent. Raises InvalidRequest."""
    text = request.query_params.get(name)
    if text is not None:
        check_label(name, text)
    return text


def check_label(name: str, text: str) -> None:
    """Raise InvalidRequest unless `text` is a valid name of an owner or a group."""
    if not is_label(text):
        raise InvalidRequest(f"{name} must have 1 to {MAX_LENGTH} characters, none of them a control character.")
