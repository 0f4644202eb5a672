"""GET /api/fal-jobs/ws: the WebSocket `hookcast.v1` (RFC 6455)."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketClose

from hookcast.auth import EVERYBODY, NOBODY
from hookcast.errors import AccessError, HookcastError, InvalidRequest, UpgradeRequired
from hookcast.logs.requests import REQUEST_ID
from hookcast.problems import on_error
from hookcast.push import Engine, WebSocketStream
from hookcast.push.handover import play_socket, take
from hookcast.push.messages import SUBPROTOCOL
from hookcast.routes.access_log import SWITCHED, log_opened
from hookcast.routes.addresses import holders_of
from hookcast.routes.credentials import check_origin, credential_of
from hookcast.routes.services import services


async def not_a_socket(_request: Request) -> Response:
    """Raise UpgradeRequired for a request without an upgrade."""
    raise UpgradeRequired(f"This path accepts WebSocket only, with the subprotocol {SUBPROTOCOL}.")


class JobSocket:
    """The ASGI endpoint: admit, accept, hand over.

    An invalid token gets a close code after the 101, since a page in a browser sees no other response.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the WebSocket, or send a problem document in place of the 101."""
        offered = scope["subprotocols"]
        await receive()  # websocket.connect
        handshake = WebSocket(scope, receive, send)
        try:
            node = services(handshake)
            check_origin(handshake)
            socket = await _socket(node.engine, handshake)
            if offered and SUBPROTOCOL not in offered:
                raise InvalidRequest(f"The subprotocol must be {SUBPROTOCOL}; the client offers {', '.join(offered)}.")
            with node.engine.admission.opening(socket, holders_of(handshake, socket.caller or EVERYBODY)):
                await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL if offered else None})
                log_opened(scope, socket, node.engine.admission, SWITCHED)
                transport = take(scope, socket)
                if transport is not None:
                    return socket.begin(transport)
                return await play_socket(socket, receive, send)
        except HookcastError as error:
            return await _deny(error, scope, receive, send)


async def _socket(engine: Engine, handshake: WebSocket) -> WebSocketStream:
    opened_by: bytes = handshake.scope[REQUEST_ID]
    try:
        caller = await engine.gate.admit(credential_of(handshake, in_url=True))
    except AccessError as error:
        return WebSocketStream(engine, NOBODY, refusal=error, opened_by=opened_by)
    return WebSocketStream(engine, caller, opened_by=opened_by)


async def _deny(error: HookcastError, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a problem document in place of the 101 if the server supports it, else refuse without one."""
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await WebSocket(scope, receive, send).send_denial_response(await on_error(None, error))
    else:
        await WebSocketClose(code=1013)(scope, receive, send)
