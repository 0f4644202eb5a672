"""The messages of `hookcast.v1` as JSON text; pure. Client messages are validated whole before they take effect."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, field

from hookcast.errors import InvalidRequest
from hookcast.labels import Label
from hookcast.push.closes import Close
from hookcast.push.topics import NO_NAMES, Names
from hookcast.wire import websocket_text

SUBPROTOCOL = "hookcast.v1"
MAX_NAMES = 200  # per message, or per request for an SSE stream

PING = websocket_text(b'{"type":"ping"}')
TOKEN_EXPIRING = websocket_text(b'{"type":"token-expiring"}')

Code = Literal["forbidden", "bad_message", "too_many"]
_Name = Annotated[str, Meta(min_length=1, max_length=200)]
_Moment = Annotated[datetime, Meta(tz=True)]


class Subscribe(Struct, tag_field="type", tag="subscribe", rename="camel", forbid_unknown_fields=True):
    """Watch these names too. A `token` identifies the caller, or renews an earlier token.

    `everything` begins with the jobs written `since`.
    """

    request_ids: list[_Name] = []
    groups: list[Label] = []
    owners: list[Label] = []
    everything: bool = field(name="all", default=False)
    since: _Moment | None = None
    token: str | None = None


class Unsubscribe(Struct, tag_field="type", tag="unsubscribe", rename="camel", forbid_unknown_fields=True):
    """Stop watching these names."""

    request_ids: list[_Name] = []
    groups: list[Label] = []
    owners: list[Label] = []
    everything: bool = field(name="all", default=False)


def parse(text: str | None) -> Subscribe | Unsubscribe:
    """Parse a client's message (None for a binary one). Raises InvalidRequest with the reason."""
    if text is None:
        raise InvalidRequest("A message is JSON text, not binary.")
    try:
        message = msgspec.json.decode(text, type=Subscribe | Unsubscribe)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise InvalidRequest(f"The message is not valid: {error}.") from None
    if isinstance(message, Subscribe) and message.since is not None and not message.everything:
        raise InvalidRequest("`since` goes with `all`: other subscriptions begin with the current states.")
    return message


def names_of(message: Subscribe | Unsubscribe) -> Names:
    """Return the names of the message without duplicates."""
    lists = (message.request_ids, message.groups, message.owners)
    jobs, groups, owners = (tuple(dict.fromkeys(names)) for names in lists)
    return Names(jobs, groups, owners, message.everything)


def asked(message: Subscribe | Unsubscribe) -> int:
    """Return the number of names in the message, including duplicates."""
    return len(message.request_ids) + len(message.groups) + len(message.owners) + message.everything


def subscribed(names: Names) -> bytes:
    """Return the frame that confirms which names are watched from now on."""
    return _frame({"type": "subscribed", "requestIds": names.jobs, "groups": names.groups, **_more(names)})


def error(code: Code, message: str, names: Names = NO_NAMES) -> bytes:
    """Return the frame that reports what was refused."""
    groups = {"groups": names.groups} if names.groups else {}
    named = {"requestIds": names.jobs, **groups, **_more(names)}
    return _frame({"type": "error", "code": code, "message": message, **named})


def _more(names: Names) -> dict[str, object]:
    """Return what older clients do not know, only if it is named."""
    owners: dict[str, object] = {"owners": names.owners} if names.owners else {}
    return {**owners, "all": True} if names.everything else owners


def forbidden(names: Names) -> bytes:
    """Return the frame that lists the names not watched: the caller may not see them, or they do not exist."""
    return error("forbidden", "There is no such job or feed, or the token does not show it.", names)


def reconnect(after_ms: int) -> bytes:
    """Return the two frames of a restart: the reconnect delay in milliseconds, and the close."""
    return _frame({"type": "reconnect", "afterMs": after_ms}) + Close.RESTART.frame


def _frame(message: dict[str, object]) -> bytes:
    return websocket_text(msgspec.json.encode(message))
