"""The access log: one line for each request when it is answered, and one when a stream closes; never a token.

Shown are the parts of the path that cannot be a token, and the request id if it has fal's form. Switched off, it costs
nothing.
"""

import time
from collections.abc import Awaitable
from typing import cast

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hookcast.logs import get_access_logger, path_shown
from hookcast.logs.requests import REQUEST_ID
from hookcast.logs.texts import HIDDEN, fals_id
from hookcast.push import Admission, SseStream, WebSocketStream
from hookcast.routes.addresses import address_of

GONE = 499  # the client went away before it was answered, as nginx writes it
SWITCHED = 101
DENIED = 403  # what servers answer to a WebSocket that is closed before it is accepted (ASGI)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
_JOBS = "/api/fal-jobs/"
_ENTRY = "hookcast.access"  # in the scope
_log = get_access_logger()


class Entry:
    """One request's line, until it is logged."""

    __slots__ = ("_began", "_facts", "bytes", "status")

    def __init__(self, scope: Scope) -> None:
        self._began = time.perf_counter()
        self._facts = _facts(scope)
        self.status = GONE
        self.bytes = 0

    def note(self, message: Message) -> None:
        """Note what is sent."""
        kind = message["type"]
        if kind in {"http.response.start", "websocket.http.response.start"}:
            self.status = message["status"]
        elif kind in {"http.response.body", "websocket.http.response.body"}:
            self.bytes += len(message.get("body", b""))
        elif kind == "websocket.accept":
            self.status = SWITCHED
        elif kind == "websocket.close" and self.status == GONE:
            self.status = DENIED

    def log(self) -> None:
        """Log the line."""
        ms = round((time.perf_counter() - self._began) * 1000, 1)
        _log.info("request", status=self.status, ms=ms, bytes=self.bytes, **self._facts)

    def log_closed(self, why: str) -> None:
        """Log the end of the stream, some time after its request was answered."""
        seconds = round(time.perf_counter() - self._began, 1)
        _log.info("stream_closed", why=why, seconds=seconds, **self._facts)


def logged(app: ASGIApp) -> ASGIApp:
    """Return the app within the access log."""

    async def log(scope: Scope, receive: Receive, send: Send) -> None:
        entry = scope[_ENTRY] = Entry(scope)

        def note(message: Message) -> Awaitable[None]:
            entry.note(message)
            return send(message)

        try:
            await app(scope, receive, cast("Send", note))
        finally:
            if scope.get(_ENTRY) is entry:
                entry.log()

    return log


def log_opened(scope: Scope, stream: SseStream | WebSocketStream, admission: Admission, status: int) -> None:
    """Log that a stream is open, and its end when that has come."""
    entry: Entry | None = scope.pop(_ENTRY, None)
    if entry is not None:
        entry.status = status
        entry.log()
        admission.farewells[stream] = entry.log_closed


def log_refused(scope: Scope, status: int) -> None:
    """Log a request that the server has refused by itself. One that the app is answering gets the status."""
    known: Entry | None = scope.get(_ENTRY)
    entry = known or Entry(scope)
    entry.status = status
    if known is None:
        entry.log()


def _facts(scope: Scope) -> dict[str, str | None]:
    path, method = scope.get("path", ""), scope.get("method", "GET")  # a WebSocket's scope has no method
    facts = {
        "method": method if method in _METHODS else HIDDEN,
        "path": path_shown(path),
        "client": address_of(HTTPConnection(scope)),
        "http_request_id": scope[REQUEST_ID].decode(),
    }
    if path.startswith(_JOBS):
        request_id = fals_id(path.removeprefix(_JOBS).partition("/")[0])
        if request_id is not None:
            facts["request_id"] = request_id
    return facts
