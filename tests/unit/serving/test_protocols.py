"""The hand-over where timing decides: early words, a client that has gone, a reader that is behind.

What the protocols rely on inside uvicorn is tried by hookcast.serving.selftest, see test_selftest.py.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from uvicorn.server import ServerState

from hookcast.push import WebSocketStream
from hookcast.push.handover import take
from hookcast.push.stream import Stream
from hookcast.serving import Deadlines
from hookcast.serving.server import config_of
from support.push import client_frames, make_engine, settle, ws_messages
from support.raw import UPGRADE, events
from support.server import until
from support.transports import FakeTransport

pytestmark = pytest.mark.anyio


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
    config = config_of(app)
    config.load()
    shared = ServerState()
    transport = Connection()
    transport.protocol = config.http_protocol_class(config=config, server_state=shared, app_state={})  # type: ignore[call-arg]
    transport.protocol.connection_made(transport)
    return transport, shared


async def test_what_a_websocket_client_says_too_early_is_kept_for_the_stream() -> None:
    """uvicorn parses none of it, and nothing more is read meanwhile."""
    ready = asyncio.Event()
    engine = make_engine()
    stream = WebSocketStream(engine)

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
    async with asyncio.timeout(60), engine.running():
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
        answers.append(take(scope, Stream(make_engine())))
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
