"""Give a stream its connection: the transport of `hookcast serve`, or plain ASGI on any other server.

`hookcast serve` adds `HANDOVER` to the scope's extensions: `{"take": take}`. `take(protocol)` makes `protocol` the
transport's protocol and returns the transport, or None if that is not possible (the stream then runs over ASGI).
After a hand-over the ASGI application just returns; `protocol.connections` is the server's set to shut down.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, cast

from starlette.types import Receive, Scope, Send

from hookcast.push import SseStream, WebSocketStream
from hookcast.push.closes import Close
from hookcast.push.inbox import MAX_MESSAGE_BYTES
from hookcast.push.stream import WHOLE_FRAMES, Stream
from hookcast.wire import split_frames

HANDOVER = "hookcast.handover"
PIECE_BYTES = 64 * 1024


def take(scope: Scope, stream: Stream) -> asyncio.Transport | None:
    """Take over the connection's transport for the stream. Return None if the stream has to run over ASGI."""
    offer = (scope.get("extensions") or {}).get(HANDOVER)
    return None if offer is None else cast("asyncio.Transport | None", offer["take"](stream))


async def play_events(stream: SseStream, receive: Receive, send: Send) -> None:
    """Run an SSE stream over ASGI, as the body of a response that has started."""

    async def write(data: bytes) -> None:
        for start in range(0, len(data), PIECE_BYTES):  # the server copies the data
            await send(
                {"type": "http.response.body", "body": bytes(data[start : start + PIECE_BYTES]), "more_body": True}
            )

    async def listen(_transport: AsgiTransport) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    if await _play(stream, lambda transport: stream.begin(transport, b""), write, listen):
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def play_socket(socket: WebSocketStream, receive: Receive, send: Send) -> None:
    """Run the stream of an accepted WebSocket over ASGI."""

    async def write(data: bytes) -> None:
        for opcode, payload in split_frames(data):
            if opcode == 0x8:
                code, reason = int.from_bytes(payload[:2]), payload[2:].decode()
                await send({"type": "websocket.close", "code": code, "reason": reason})
            else:
                await send({"type": "websocket.send", "text": payload.decode()})

    async def listen(transport: AsgiTransport) -> None:
        while True:
            await transport.readable.wait()
            message = await receive()
            if message["type"] != "websocket.receive":
                return
            text = message.get("text")
            if text is not None and len(text.encode()) > MAX_MESSAGE_BYTES:
                socket.close(Close.MESSAGE_TOO_BIG)
            await socket.receive(text)

    await _play(socket, socket.begin, write, listen)


async def _play(
    stream: Stream,
    begin: Callable[[asyncio.Transport], None],
    write: Callable[[bytes], Awaitable[None]],
    listen: Callable[["AsgiTransport"], Awaitable[None]],
) -> bool:
    """Run until the stream or the client ends. Return whether the stream itself ended cleanly."""
    transport = AsgiTransport(stream)
    begin(transport)
    pumping = asyncio.ensure_future(transport.pump(write))
    listening = asyncio.ensure_future(listen(transport))
    cut = asyncio.ensure_future(transport.cut.wait())
    tasks = (pumping, listening, cut)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        clean = pumping.done() and pumping.exception() is None and not transport.cut.is_set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        stream.connection_lost(None)
    return clean


class AsgiTransport(asyncio.Transport):
    """An asyncio transport that forwards writes to ASGI in order. `cut` is set on abort."""

    def __init__(self, stream: Stream) -> None:
        super().__init__({WHOLE_FRAMES: stream.kind == "websocket"})
        self._stream = stream
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._high = 0
        self._paused = False
        self._closing = False
        self._wake = asyncio.Event()
        self.cut = asyncio.Event()
        self.readable = asyncio.Event()
        self.readable.set()

    async def pump(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Forward queued writes until closed."""
        while self._waiting or not self._closing:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                data = self._waiting.popleft()
                await write(data)
                self._size -= len(data)
                if self._paused and self._size <= self._high // 4:
                    self._paused = False
                    self._stream.resume_writing()

    def write(self, data: Any) -> None:
        """Queue the data; pause the stream while the queue exceeds the limit."""
        self._waiting.append(data)
        self._size += len(data)
        self._wake.set()
        if self._size > self._high and not self._paused:
            self._paused = True
            self._stream.pause_writing()

    def close(self) -> None:
        """Close once all queued writes have been forwarded."""
        self._closing = True
        self._wake.set()

    def abort(self) -> None:
        """Close at once, dropping queued writes."""
        self.close()
        self.cut.set()

    def is_closing(self) -> bool:
        """Return whether the transport was closed."""
        return self._closing

    def is_reading(self) -> bool:
        """Return whether ASGI messages are being received."""
        return self.readable.is_set()

    def pause_reading(self) -> None:
        """Stop receiving ASGI messages; the server stops reading once its buffer is full."""
        self.readable.clear()

    def resume_reading(self) -> None:
        """Receive ASGI messages again."""
        self.readable.set()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:  # noqa: ARG002
        """Set how many bytes may be queued; `low` is ignored."""
        self._high = high or 0
