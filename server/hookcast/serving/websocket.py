"""WebSocket up to the end of the handshake (RFC 6455); from then on a stream has the connection."""

import asyncio
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import SecurityError

from hookcast.errors import BadRequest, HeadTooLarge, HookcastError
from hookcast.push.handover import HANDOVER
from hookcast.push.stream import Stream
from hookcast.routes.access_log import log_refused
from hookcast.serving.base import Config, hand_over, last_words


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, offering the connection to the application once it is accepted."""

    config: Config
    _early = b""

    def data_received(self, data: bytes) -> None:
        """Parse the request; keep data that a client sends before the 101 for the stream."""
        if self.handshake_initiated:
            self._early += data
            return self.transport.pause_reading()
        super().data_received(data)
        if not self._asked() and not self.transport.is_closing():
            self._refuse()
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """Break reference cycles, as in HttpProtocol: of the parser, a refusal's traceback, and the offer."""
        super().connection_lost(exc)
        self.conn.parser.close()
        self.conn.handshake_exc = self.request = self.response = None  # type: ignore[assignment]
        getattr(self, "scope", {}).pop("extensions", None)

    def _asked(self) -> bool:
        """Return whether a WebSocket request has been read."""
        return self.handshake_initiated

    def _refuse(self) -> None:
        """Respond to a request that the websockets library rejects; uvicorn would send nothing."""
        problem: HookcastError = BadRequest("The request is not a valid WebSocket handshake.")
        error = self.conn.handshake_exc
        if isinstance(error, SecurityError) or (error and isinstance(error.__cause__, SecurityError)):
            # a line is too long; websockets < 17 wraps the error
            problem = HeadTooLarge("The URL and each header of a WebSocket handshake may have at most 8 KiB.")
        scope: dict[str, Any] = {"type": "websocket", "headers": [], "client": self.client}
        self.transport.write(last_words(problem, self.default_headers, scope))
        if self.config.logs_requests:
            log_refused(scope, problem.status)
        self.transport.close()

    async def run_asgi(self) -> None:
        """Add the hand-over offer to the scope."""
        self.scope["extensions"] = {**(self.scope["extensions"] or {}), HANDOVER: {"take": self._take}}
        await super().run_asgi()

    async def send(self, message: Any) -> None:
        """Send a message. A complete refusal is a complete handshake: uvicorn would log an error that it is none."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True

    def _take(self, stream: Stream) -> asyncio.Transport | None:
        transport = self.transport
        if not self.handshake_complete or self.close_sent or self.disconnected or transport.is_closing():
            return None
        if self._early:
            stream.data_received(self._early)
        self.transport = _HandedOver()  # uvicorn closes its transport when the task ends
        self.conn.parser.close()  # as in HttpProtocol: no reference cycles
        self.scope["extensions"] = {}
        self.scope = self.conn = None  # type: ignore[assignment]
        return hand_over(self, transport, stream)


class _HandedOver(asyncio.Transport):
    """The placeholder transport of a protocol that handed its own over."""

    def close(self) -> None:
        """Do nothing: the stream owns the connection."""
