"""What serve.py relies on inside uvicorn: a release that changes it is found here, not by users."""

import asyncio
import inspect
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from hookcast.bus import LocalBus
from hookcast.protocols import Deadlines, HttpProtocol, WebSocketProtocol
from hookcast.push import Engine, EventStream, Socket
from hookcast.push.stream import Stream
from hookcast.routes.handover import take
from hookcast.serve import Server, Site
from support.push import FakeTransport, MemoryStore, client_frames, settle, ws_messages
from support.raw import UPGRADE, events
from support.server import until

pytestmark = pytest.mark.anyio
CHANGED = f"uvicorn {uvicorn.__version__} is not as serve.py needs it: "


def changed(what: str) -> str:
    """The word."""
    return CHANGED + what


class Connection(FakeTransport):
    """A transport whose protocol may be replaced."""

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """As asyncio has it."""
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Likewise."""
        found: asyncio.BaseProtocol = self.protocol
        return found

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Addresses only."""
        return ("127.0.0.1", 1) if name in {"peername", "sockname"} else default


App = Callable[[Any, Any, Any], Awaitable[None]]


def accept(app: App) -> tuple[Connection, ServerState]:
    """A connection as the running server has it, with its settings."""
    with socket.socket() as unused:
        config = Server(Site(app, unused), lambda: None).config
    config.load()
    shared = ServerState()
    transport = Connection()
    transport.protocol = config.http_protocol_class(config=config, server_state=shared, app_state={})  # type: ignore[call-arg]
    transport.protocol.connection_made(transport)
    return transport, shared


def test_uvicorn_has_the_names_that_the_subclasses_use() -> None:
    """Attributes, and what is overridden or called."""
    with socket.socket() as unused:
        config = Server(Site(print, unused), lambda: None).config
    config.load()
    assert config.http_protocol_class is HttpProtocol, changed("http= is not taken as it is")
    assert config.ws_protocol_class is WebSocketProtocol, changed("ws= is not taken as it is")
    methods = {
        HttpToolsProtocol: (
            *("connection_made", "connection_lost", "data_received", "pause_writing", "resume_writing"),
            *("on_message_begin", "on_headers_complete", "on_body", "on_message_complete", "on_response_complete"),
            *("send_400_response", "handle_websocket_upgrade", "_unset_keepalive_if_required", "_start_asgi_task"),
        ),
        WebSocketsSansIOProtocol: ("run_asgi", "data_received", "pause_writing"),
        uvicorn.Server: ("capture_signals", "startup", "shutdown", "serve"),
    }
    for kind, names in methods.items():
        for name in names:
            assert callable(getattr(kind, name, None)), changed(f"{kind.__name__}.{name} is gone")
    slots = inspect.signature(RequestResponseCycle.__init__).parameters
    assert "scope" in slots, changed("RequestResponseCycle has no scope")


def test_the_protocols_have_the_state_that_the_hand_over_reads() -> None:
    """Of a connection that has just been made."""

    async def look() -> None:
        transport, shared = accept(_never)
        http = transport.protocol
        for name in (
            "cycle",
            "parser",
            "pipeline",
            "flow",
            "transport",
            "connections",
            "scope",
            "loop",
            "server_state",
        ):
            assert hasattr(http, name), changed(f"HttpToolsProtocol has no {name}")
        assert http.connections is shared.connections, changed("connections are counted elsewhere")
        assert http in shared.connections, changed("a connection is not counted when it is made")
        assert http.flow.write_paused is False, changed("FlowControl has no write_paused")
        transport.protocol.data_received(UPGRADE)
        websocket = transport.protocol
        assert isinstance(websocket, WebSocketProtocol), changed("an upgrade does not change the protocol")
        for name in ("handshake_complete", "handshake_initiated", "close_sent", "disconnected", "transport", "conn"):
            assert hasattr(websocket, name), changed(f"WebSocketsSansIOProtocol has no {name}")
        assert websocket.handshake_initiated, changed("the request is not handled in data_received")
        await _end(shared)

    asyncio.run(look())


async def test_after_the_hand_over_uvicorn_touches_the_connection_no_more() -> None:
    """No response, no close, no timer; the stream is what it shuts down, and nothing is logged."""
    given: list[asyncio.Transport] = []
    stream = EventStream(Engine())

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        transport = take(scope, stream)
        assert transport is not None, changed("the offer is not usable within the request")
        given.append(transport)

    transport, shared = accept(app)
    http = transport.protocol
    http.data_received(events("job-1"))
    assert len(shared.tasks) == 1, changed("the application is not run as a task that is counted")
    await _end(shared)
    assert given == [transport]
    assert transport.protocol is stream
    assert shared.connections == {stream}, changed("a connection that changed hands is counted otherwise")
    assert not transport.sent, changed("an application that returns after the hand-over is answered for")
    assert not transport.is_closing(), changed("the connection is closed when the application returns")
    assert http.timeout_keep_alive_task is None, changed("the keep-alive timer runs on")
    stream.connection_lost(None)
    assert not shared.connections


async def test_after_the_hand_over_of_a_websocket_uvicorn_touches_it_no_more() -> None:
    """The 101 is written in the very turn in which the connection changes hands."""
    socket_stream = Socket(Engine())
    at_take: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None})
        assert take(scope, socket_stream) is not None, changed("the offer is not usable after the accept")
        at_take.append(transport.take())

    transport, shared = accept(app)
    transport.protocol.data_received(UPGRADE)
    await _end(shared)
    assert at_take[0].startswith(b"HTTP/1.1 101 "), changed("the 101 is not written by the accept")
    assert transport.protocol is socket_stream
    assert shared.connections == {socket_stream}, changed("a WebSocket that changed hands is counted otherwise")
    assert not transport.sent, changed("something is written after the hand-over")
    assert not transport.is_closing(), changed("the connection is closed when the application returns")


async def test_what_a_websocket_client_says_too_early_is_kept_for_the_stream() -> None:
    """uvicorn parses none of it, and nothing more is read meanwhile."""
    ready = asyncio.Event()
    engine = Engine()
    stream = Socket(engine)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await ready.wait()
        await send({"type": "websocket.accept", "subprotocol": None})
        assert take(scope, stream) is transport

    transport, shared = accept(app)
    transport.protocol.data_received(UPGRADE)
    early = client_frames("no object")
    for piece in (early[:3], early[3:]):
        transport.protocol.data_received(piece)
        transport.reading, paused = True, not transport.reading
        assert paused
    ready.set()
    await settle()
    transport.take()
    async with asyncio.timeout(60), engine.running(MemoryStore(), LocalBus(engine.hub.deliver)):
        stream.begin(transport)
        await settle()
        error, close = ws_messages(transport.take())
    assert (error["code"], close) == ("bad_message", (4503, "bad message"))
    await _end(shared)


async def test_a_client_that_has_gone_gets_no_stream_and_is_told_as_gone() -> None:
    """Whatever uvicorn knows of it: the application's next receive ends its work."""
    answers: list[Any] = []

    async def app(scope: Any, receive: Any, _send: Any) -> None:
        await receive()
        transport.close()
        answers.append(take(scope, Stream(Engine())))
        answers.append((await receive())["type"])

    transport, shared = accept(app)
    transport.protocol.data_received(events("job-1") + events("job-2"))
    await settle()
    assert answers == [None, "http.disconnect"]
    transport.lose()
    await _end(shared)


async def test_a_reader_that_has_read_may_be_behind_again() -> None:
    """With the next answer, and by more than with the one before."""
    transport, _ = accept(_never)
    transport.protocol.config.deadlines = Deadlines(unread=0.01)
    sizes = iter((10, 20, 15, 15))
    looks = []

    def size() -> int:
        looks.append(next(sizes))
        return looks[-1]

    transport.get_write_buffer_size = size  # type: ignore[method-assign]
    transport.protocol.pause_writing()
    transport.protocol.resume_writing()
    await until(lambda: len(looks) == 3 or transport.was_aborted())
    assert not transport.was_aborted()
    await until(transport.was_aborted)
    transport.lose()


async def _never(_scope: Any, receive: Any, _send: Any) -> None:
    await receive()


async def _end(shared: ServerState) -> None:
    await settle()
    for task in tuple(shared.tasks):
        task.cancel()
    await asyncio.gather(*shared.tasks, return_exceptions=True)
