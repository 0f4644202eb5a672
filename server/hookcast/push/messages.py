"""The messages of `hookcast.v1` as JSON text; pure. Client messages are validated whole before they take effect."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from hookcast.errors import InvalidRequest
from hookcast.labels import Label
from hookcast.push.closes import Close
from hookcast.push.hub import Names
from hookcast.wire import websocket_text

SUBPROTOCOL = "hookcast.v1"
MAX_NAMES = 200  # per message, or per request for an SSE stream

PING = websocket_text(b'{"type":"ping"}')
TOKEN_EXPIRING = websocket_text(b'{"type":"token-expiring"}')

Code = Literal["forbidden", "bad_message", "too_many"]
_Name = Annotated[str, Meta(min_length=1, max_length=200)]


class Subscribe(Struct, tag_field="type", tag="subscribe", rename="camel", forbid_unknown_fields=True):
    """Watch these names too. A `token` identifies the caller, or renews an earlier token."""

    request_ids: list[_Name] = []
    groups: list[Label] = []
    token: str | None = None


class Unsubscribe(Struct, tag_field="type", tag="unsubscribe", rename="camel", forbid_unknown_fields=True):
    """Stop watching these names."""

    request_ids: list[_Name] = []
    groups: list[Label] = []


def parse(text: str | None) -> Subscribe | Unsubscribe:
    """Parse a client's message (None for a binary one). Raises InvalidRequest with the reason."""
    if text is None:
        raise InvalidRequest("A message is JSON text, not binary.")
    try:
        return msgspec.json.decode(text, type=Subscribe | Unsubscribe)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise InvalidRequest(f"The message is not valid: {error}.") from None


def names_of(message: Subscribe | Unsubscribe) -> Names:
    """Return the names of the message without duplicates."""
    return Names(tuple(dict.fromkeys(message.request_ids)), tuple(dict.fromkeys(message.groups)))


def asked(message: Subscribe | Unsubscribe) -> int:
    """Return the number of names in the message, including duplicates."""
    return len(message.request_ids) + len(message.groups)


def subscribed(names: Names) -> bytes:
    """Return the frame that confirms which names are watched from now on."""
    return _frame({"type": "subscribed", "requestIds": names.jobs, "groups": names.groups})


def error(code: Code, message: str, request_ids: Sequence[str] = (), groups: Sequence[str] = ()) -> bytes:
    """Return the frame that reports what was refused."""
    named = {"requestIds": request_ids, **({"groups": groups} if groups else {})}
    return _frame({"type": "error", "code": code, "message": message, **named})


def forbidden(names: Names) -> bytes:
    """Return the frame that lists the names not watched: the caller may not see them, or they do not exist."""
    text = "There is no such job or group, or the token does not show it."
    return error("forbidden", text, names.jobs, names.groups)


def reconnect(after_ms: int) -> bytes:
    """Return the two frames of a restart: the reconnect delay in milliseconds, and the close."""
    return _frame({"type": "reconnect", "afterMs": after_ms}) + Close.RESTART.frame


def _frame(message: dict[str, object]) -> bytes:
    return websocket_text(msgspec.json.encode(message))
