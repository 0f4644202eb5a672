"""`X-Request-Id`: taken from a request or made, sent with each response, and in each line that is logged meanwhile."""

from collections.abc import Awaitable
from typing import Any, cast

from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hookcast.logs import http_request_id
from hookcast.logs.requests import HEADER, REQUEST_ID, identify
from hookcast.routes.access_log import logged

_HEADS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


class RequestIds:
    """The outermost ASGI layer: what is inside, crashes included, answers and logs with the request's id."""

    def __init__(self, app: ASGIApp, *, access_log: bool = False) -> None:
        self._app = app
        self._requests = logged(app) if access_log else app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run a request of HTTP or a WebSocket with its id."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        found = scope[REQUEST_ID] = identify(scope["headers"])
        http_request_id.set(found.decode())
        header = (HEADER, found)

        def send_named(message: Message) -> Awaitable[None]:
            if message["type"] in _HEADS:
                message["headers"] = [*message.get("headers", ()), header]
            return send(message)

        return await self._requests(scope, receive, cast("Send", send_named))


class NamedApp(Starlette):
    """Starlette within `RequestIds`: its own handler of crashes is the outermost layer that it accepts."""

    def __init__(self, *, access_log: bool = False, **parts: Any) -> None:
        self._access_log = access_log
        super().__init__(**parts)

    def build_middleware_stack(self) -> ASGIApp:
        """Return the layers of a request."""
        return RequestIds(super().build_middleware_stack(), access_log=self._access_log)


def head_line(scope: Scope) -> bytes:
    """Return the header for a head that a stream writes itself."""
    return b"%b: %b\r\n" % (HEADER, scope[REQUEST_ID])
