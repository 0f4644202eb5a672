"""Responses that break HTTP: they end in the middle, or their Content-Length lies.

A server of ASGI allows neither, so these take over the connection that `hookcast dev` and `hookcast emulator` offer.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus

from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from hookcast.push.handover import HANDOVER

HOLD_SECONDS = 600.0
UNREAD_SECONDS = 60.0


class BrokenResponse(Response):
    """Sends the headers and the pieces as they are, then closes the connection.

    `hold`: sends nothing more and keeps the connection open until the client closes it, or for ten minutes. On a server
    that does not offer the connection, the response is 501.
    """

    def __init__(
        self, pieces: AsyncIterator[memoryview], status: int, headers: Mapping[str, str], *, hold: bool
    ) -> None:
        super().__init__(status_code=status)
        self._pieces = pieces
        self._head = _head(status, headers)
        self._hold = hold

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take over the connection and use it to the end."""
        connection = Connection()
        offer = (scope.get("extensions") or {}).get(HANDOVER)
        if offer is None:
            refusal = PlainTextResponse("This fault needs `hookcast dev` or `hookcast emulator`.", 501)
            return await refusal(scope, receive, send)
        transport: asyncio.Transport | None = offer["take"](connection)
        if transport is not None:  # else the client has gone
            await self._send(transport, connection)
        return None

    async def _send(self, transport: asyncio.Transport, connection: "Connection") -> None:
        try:
            transport.write(self._head)
            async for piece in self._pieces:
                if not await connection.writable_within(UNREAD_SECONDS):
                    return
                transport.write(piece)
            if self._hold:
                await connection.lost_within(HOLD_SECONDS)
            transport.close()
            await connection.lost_within(UNREAD_SECONDS)
        finally:
            transport.abort()


class Connection(asyncio.Protocol):
    """The connection's protocol after the hand-over (see push/handover.py). The server calls `shutdown`."""

    def __init__(self) -> None:
        self.connections: set[object] | None = None
        self._lost = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    async def writable_within(self, seconds: float) -> bool:
        """Wait until the client has read enough; return whether it has."""
        return await _within(seconds, self._writable) and not self._lost.is_set()

    async def lost_within(self, seconds: float) -> bool:
        """Wait for the end of the connection; return whether it came."""
        return await _within(seconds, self._lost)

    def pause_writing(self) -> None:
        """Wait: the client has not read what was sent."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Note that nothing can be sent any more."""
        self.shutdown()
        if self.connections is not None:
            self.connections.discard(self)

    def shutdown(self) -> None:
        """Send no more."""
        self._lost.set()
        self._writable.set()


async def _within(seconds: float, event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1")
