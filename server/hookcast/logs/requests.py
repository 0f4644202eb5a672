"""The id of the HTTP request being handled: `X-Request-Id`, in every response and in every line of the log."""

import random
import re
from collections.abc import Iterable
from contextvars import ContextVar

from structlog.typing import EventDict

from hookcast.logs.texts import secret_in, shown

HEADER = b"x-request-id"
REQUEST_ID = "hookcast.request_id"  # in the scope of a request
_ACCEPTED = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}", re.ASCII)

http_request_id: ContextVar[str | None] = ContextVar("http_request_id", default=None)
claimed_request_id: ContextVar[str | None] = ContextVar("claimed_request_id", default=None)
"""The request id of fal that the webhook being handled claims, before it is verified."""


def identify(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the id of a request: the client's, or a new one when it sent none, or one that cannot be shown."""
    for name, value in headers:
        if name == HEADER:
            return value if _ACCEPTED.fullmatch(value) and not secret_in(value.decode()) else _made()
    return _made()


def _made() -> bytes:
    return b"%016x" % random.getrandbits(64)  # names a request, protects nothing


def with_request_id(_logger: object, _method: str, record: EventDict) -> EventDict:
    """Add the id of the request in whose course a line is logged, and fal's, if it is a webhook."""
    found = http_request_id.get()
    if found is not None:
        record.setdefault("http_request_id", found)
        claimed = claimed_request_id.get()
        if claimed is not None:
            record.setdefault("request_id", shown(claimed))
    return record
