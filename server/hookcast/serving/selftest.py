"""Check at each start, in memory, the internals of uvicorn and websockets that Hookcast relies on.

Hookcast subclasses uvicorn's classes (serving/) and drives the parser of websockets itself (push/inbox.py). If these
change, a server could seem to work, but without its limits, or with every stream at a tenth of its speed.
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
from hookcast.serving import HttpProtocol
from hookcast.serving.server import Server, config_of

TURNS = 100  # iterations of the event loop to wait for a response; a time limit would fail on a busy machine
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
# A text, a ping and a close frame, masked with zeros (RFC 6455 section 5.2), and the expected result.
FRAMES = b"\x81\x82\0\0\0\0hi\x89\x80\0\0\0\0\x88\x82\0\0\0\0\x03\xe8"
MEANING = Received(["hi"], b"\x8a\x00\x88\x02\x03\xe8", closed=True)

_App = Callable[[Any, Any, Any], Awaitable[None]]


class Changed(Exception):
    """An internal of uvicorn or websockets is not as Hookcast needs it; `str(error)` says which."""


async def run() -> None:
    """Run all checks. Raises Changed, or what a changed internal leads to: AttributeError, TypeError and the like."""
    _overrides()
    with _silence():
        await _request()
        await _refusal()
        await _websocket()


def _overrides() -> None:
    """Check that each public method of the subclasses overrides one of uvicorn's, not just an empty one of asyncio."""
    for ours in (HttpProtocol, Server):
        theirs = {name for kind in ours.__mro__ if kind.__module__.startswith("uvicorn.") for name in vars(kind)}
        own = {name for name, member in vars(ours).items() if inspect.isfunction(member) and not name.startswith("_")}
        for name in own - theirs:
            raise Changed(f"{ours.__mro__[1].__name__}.{name} is gone")


async def _request() -> None:
    """Check that of two pipelined requests the first is answered, and the second hands its connection over."""
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
    """Check that a request that is not HTTP gets Hookcast's problem document."""
    wire = _Wire(_nothing)
    await wire.receive(b"?\r\n\r\n")
    _require(b"application/problem+json" in wire.sent, "a request that cannot be parsed is refused elsewhere")
    wire.protocol.connection_lost(None)
    _require(not wire.connections, "a connection that has ended is still counted")


async def _websocket() -> None:
    """Check that a request for a WebSocket hands its connection over, and that frames are parsed."""
    stream, given = _Taker(), list[tuple[asyncio.Transport | None, bytes]]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None})
        given.append((take(scope, cast("Stream", stream)), bytes(wire.sent)))

    wire = _Wire(app)
    await wire.receive(UPGRADE)
    _require(given and given[0][0] is wire, "the connection of a WebSocket is not handed over")
    wire.check(stream, given[0][1])
    _require(Inbox().receive(FRAMES) == MEANING, "frames are not parsed and answered as RFC 6455 says")


def _require(holds: object, otherwise: str) -> None:
    if not holds:
        raise Changed(otherwise)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Disable uvicorn's error log: the caller of the checks reports failures."""
    log = logging.getLogger("uvicorn.error")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


async def _nothing(_scope: Any, _receive: Any, _send: Any) -> None:
    """Return without a response."""


class _Taker(asyncio.Protocol):
    """A stand-in for a stream."""

    def __init__(self) -> None:
        self.connections: set[object] = set()


class _Wire(asyncio.Transport):
    """A server connection without a network. `protocol` is its current protocol."""

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

    async def _watched(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self._app(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - uvicorn would only log it
            self._failures.append(error)

    async def receive(self, *data: bytes) -> None:
        """Pass the data to the current protocol, and wait for its tasks. Raises what they raise."""
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
        """Run the connection's tasks to their end, for at most TURNS iterations. Return all tasks seen."""
        seen = set[asyncio.Task[None]]()
        for _ in range(TURNS):
            if not self._tasks:
                break
            seen |= self._tasks
            await asyncio.sleep(0)
        return seen

    def check(self, stream: _Taker, sent: bytes) -> None:
        """Check that only the stream owns the connection: nothing was written after `sent`, nothing closed."""
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
