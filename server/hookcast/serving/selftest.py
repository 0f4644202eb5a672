"""Tries at each start, in memory, what Hookcast relies on inside uvicorn and websockets.

Hookcast subclasses uvicorn's classes (protocols/, serve.py) and drives the parser of websockets itself (push/inbox.py).
Where these differ, a server could seem to work, without its limits, or with every stream at a tenth of its speed.
"""

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, cast

from uvicorn.server import ServerState

from hookcast.push.handover import take
from hookcast.push.inbox import Inbox, Received
from hookcast.push.stream import Stream
from hookcast.serving import HttpProtocol, WebSocketProtocol
from hookcast.serving.server import Server, config_of

TURNS = 100  # of the event loop, after which no answer will come; a time limit would refuse a machine that is busy
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
# A text, a ping and a close, masked with zeros (RFC 6455 section 5.2), and what they mean.
FRAMES = b"\x81\x82\0\0\0\0hi\x89\x80\0\0\0\0\x88\x82\0\0\0\0\x03\xe8"
MEANING = Received(["hi"], b"\x8a\x00\x88\x02\x03\xe8", closed=True)

_App = Callable[[Any, Any, Any], Awaitable[None]]


class Changed(Exception):
    """Something inside is not as Hookcast needs it; `str(error)` says what."""


async def run() -> None:
    """Raises Changed, or what a changed inside leads to: AttributeError, TypeError and the like."""
    _overrides()
    with _silence():
        await _request()
        await _refusal()
        await _websocket()


def _overrides() -> None:
    """Each public method of the subclasses stands in for one of uvicorn's; asyncio's empty ones do not count."""
    for ours in (HttpProtocol, WebSocketProtocol, Server):
        theirs = {name for kind in ours.__mro__ if kind.__module__.startswith("uvicorn.") for name in vars(kind)}
        own = {name for name, member in vars(ours).items() if inspect.isfunction(member) and not name.startswith("_")}
        for name in own - theirs:
            raise Changed(f"{ours.__mro__[1].__name__}.{name} is gone")


async def _request() -> None:
    """Of two requests that come together, the first one is answered, and the second one gives its connection away."""
    stream, given = _Taker(), list[tuple[asyncio.Transport | None, bytes]]()

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        if wire.sent:
            given.append((take(scope, cast("Stream", stream)), bytes(wire.sent)))
        else:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok"})

    wire = _Wire(app)
    await wire.receive(REQUEST * 2)
    _require(given and given[0][0] is wire, "the connection of a request is not handed over")
    _require(given[0][1].startswith(b"HTTP/1.1 200 "), "a request is not answered")
    wire.check(stream, given[0][1])


async def _refusal() -> None:
    """What is no HTTP is refused in Hookcast's words."""
    wire = _Wire(_nothing)
    await wire.receive(b"?\r\n\r\n")
    _require(b"application/problem+json" in wire.sent, "a request that cannot be parsed is refused elsewhere")
    wire.protocol.connection_lost(None)
    _require(not wire.connections, "a connection that has ended is still counted")


async def _websocket() -> None:
    """A handshake; the connection is given away in the turn of the 101, with what the client has said before."""
    stream, given = _Taker(), list[tuple[asyncio.Transport | None, bytes]]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None})
        given.append((take(scope, cast("Stream", stream)), bytes(wire.sent)))

    wire = _Wire(app)
    await wire.receive(UPGRADE, FRAMES)
    _require(given and given[0][0] is wire, "the connection of a WebSocket is not handed over")
    _require(given[0][1].startswith(b"HTTP/1.1 101 "), "a WebSocket's 101 is not written by its accept")
    wire.check(stream, given[0][1])
    _require(stream.received == FRAMES, "what a WebSocket client says before the 101 gets lost")
    _require(Inbox().receive(FRAMES) == MEANING, "frames are not parsed and answered as RFC 6455 says")


def _require(holds: object, otherwise: str) -> None:
    if not holds:
        raise Changed(otherwise)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """What goes wrong is told by whoever asked."""
    log = logging.getLogger("uvicorn.error")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


async def _nothing(_scope: Any, _receive: Any, _send: Any) -> None:
    """Answer nothing."""


class _Taker(asyncio.Protocol):
    """In the place of a stream."""

    def __init__(self) -> None:
        self.connections: set[object] = set()
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data


class _Wire(asyncio.Transport):
    """A connection of the server's that leads nowhere. `protocol` is whoever has it now."""

    def __init__(self, app: _App) -> None:
        super().__init__()
        self._app = app
        self._failures: list[Exception] = []
        self._closing = False
        self.sent = bytearray()
        state = ServerState()
        self._tasks = state.tasks
        self.connections: set[Any] = state.connections
        config = config_of(self._watched)
        config.load()
        self.protocol: asyncio.Protocol = config.http_protocol_class(  # type: ignore[call-arg]
            config=config, server_state=state, app_state={}
        )
        self.protocol.connection_made(self)
        _require(self.connections == {self.protocol}, "a connection is not counted when it is made")

    async def _watched(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self._app(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - uvicorn would put it into the log
            self._failures.append(error)

    async def receive(self, *data: bytes) -> None:
        """Give the data to whoever has the connection, and wait for the answers. Raises what went wrong meanwhile."""
        for piece in data:
            self.protocol.data_received(piece)
        seen = await self._settle()
        stuck = tuple(self._tasks)
        for task in stuck:
            task.cancel()
        await self._settle()
        failures = [task.exception() for task in seen if task.done() and not task.cancelled()]
        for failure in (*self._failures, *failures):
            if failure is not None:
                raise failure
        _require(not stuck, "a request is never done")

    async def _settle(self) -> set[asyncio.Task[None]]:
        """Let the tasks of the connection run to their ends, but not for ever; all that were seen."""
        seen = set[asyncio.Task[None]]()
        for _ in range(TURNS):
            if not self._tasks:
                break
            seen |= self._tasks
            await asyncio.sleep(0)
        return seen

    def check(self, stream: _Taker, sent: bytes) -> None:
        """The connection is the stream's alone: nothing was written after `sent`, nothing closed."""
        _require(self.protocol is stream, "the stream does not become the protocol of its connection")
        _require(self.connections == {stream}, "a connection that was handed over is not counted as the stream's")
        _require(self.sent == sent, "something is written after the connection was handed over")
        _require(not self._closing, "the connection is closed after it was handed over")

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = cast("asyncio.Protocol", protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol

    def write(self, data: Any) -> None:
        self.sent += data

    def close(self) -> None:
        self._closing = True

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...
