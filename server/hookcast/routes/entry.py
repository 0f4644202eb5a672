"""The outermost layer: each request gets its id, and the busiest requests reach their handlers without the router.

`X-Request-Id` is taken from a request or made, sent with each response, and in each line that is logged meanwhile.
Streams, webhooks and polls are found by their paths: Starlette's layers and router take as long as the rest of such a
request. What their handlers raise goes through the layers, which answer it like any other error.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hookcast.logs import http_request_id
from hookcast.logs.requests import HEADER, REQUEST_ID, identify
from hookcast.routes.access_log import logged
from hookcast.routes.credentials import cors_headers
from hookcast.routes.requests import RESERVED_IDS

JOBS = "/api/fal-jobs/"
_HEADS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
_RAISED = "hookcast.raised"  # in the scope: what a busy route raised


class Busy:
    """The routes that bypass the router, all of which are also in its table.

    `exact` are applications by method (`WEBSOCKET` for a handshake) and path, `of_job` are those of GET requests by
    what follows the requestId in the path.
    """

    def __init__(self, exact: Mapping[tuple[str, str], ASGIApp], of_job: Mapping[str, ASGIApp]) -> None:
        self._exact = exact
        self._of_job = of_job

    def find(self, scope: Scope) -> ASGIApp | None:
        """Return the application for a request, if it is a busy one."""
        path, method = scope["path"], scope.get("method", "WEBSOCKET")
        if scope.get("root_path"):
            return None
        found = self._exact.get((method, path))
        if found is None and method == "GET" and path.startswith(JOBS):
            request_id, slash, rest = path[len(JOBS) :].partition("/")
            found = self._of_job.get(slash + rest)
            if found is not None and request_id and request_id not in RESERVED_IDS:
                scope["path_params"] = {"request_id": request_id}
                return found
            return None
        return found


def answering(handle: Callable[[Request], Awaitable[Response]]) -> ASGIApp:
    """Return the application that sends what a handler returns."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        response = await handle(Request(scope, receive, send))
        await response(scope, receive, send)

    return answer


class Raised(BaseRoute):
    """The first route of the table: it raises what a busy route raised."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match requests whose handler has raised an error."""
        return (Match.FULL if _RAISED in scope else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Raise the error."""
        raise scope.pop(_RAISED)  # its traceback refers to the scope


class Entry:
    """The outermost ASGI layer: what is inside, crashes included, answers and logs with the request's id."""

    def __init__(self, app: ASGIApp, busy: Busy, *, access_log: bool = False) -> None:
        self._app = app
        self._busy = busy
        self._requests = logged(self._run) if access_log else self._run

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run a request of HTTP or a WebSocket with its id."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        found = scope[REQUEST_ID] = identify(scope["headers"])
        http_request_id.set(found.decode())
        return await self._requests(scope, receive, send)

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        busy = self._busy.find(scope)
        if busy is None or scope["type"] == "websocket":
            return await (busy or self._app)(scope, receive, _named(scope, send))
        begun = False

        def send_named(message: Message) -> Awaitable[None]:
            nonlocal begun
            if message["type"] in _HEADS:
                begun = True
                message["headers"] = [*message.get("headers", ()), *head_lines(scope)]
            return send(message)

        try:
            return await busy(scope, receive, cast("Send", send_named))
        except Exception as error:
            if begun:
                raise
            scope[_RAISED] = error
        return await self._app(scope, receive, _named(scope, send))


def _named(scope: Scope, send: Send) -> Send:
    header = (HEADER, scope[REQUEST_ID])

    def send_named(message: Message) -> Awaitable[None]:
        if message["type"] in _HEADS:
            message["headers"] = [*message.get("headers", ()), header]
        return send(message)

    return cast("Send", send_named)


class EnteredApp(Starlette):
    """Starlette within `Entry`: its own handler of crashes is the outermost layer that it accepts."""

    def __init__(self, *, busy: Busy, access_log: bool = False, **parts: Any) -> None:
        self._busy = busy
        self._access_log = access_log
        super().__init__(**parts)

    def build_middleware_stack(self) -> ASGIApp:
        """Return the layers of a request."""
        return Entry(super().build_middleware_stack(), self._busy, access_log=self._access_log)


def head_lines(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return the headers that the layers would add to the head of a busy route's response."""
    return [(HEADER, scope[REQUEST_ID]), *cors_headers(scope)]
