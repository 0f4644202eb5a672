"""The direct way to the kernel: what goes which way, in which order, and that the descriptor stays the transport's."""

import contextlib
import gc
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from hookcast.push import Names, SseStream
from support.push import running_engine, settle, state
from support.transports import FakeTransport

pytestmark = pytest.mark.anyio


class Wired(FakeTransport):
    """A transport over one end of a real pair of sockets, which reads back what the direct way has sent."""

    def __init__(self, near: socket.socket, far: socket.socket, *, tls: bool = False) -> None:
        super().__init__()
        self.near, self.far, self.tls = near, far, tls

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The socket; and the context, if it is to look like TLS."""
        return {"socket": self.near, "sslcontext": object() if self.tls else None}.get(name, default)

    def received(self) -> bytes:
        """What the other end can read now."""
        found = bytearray()
        with contextlib.suppress(BlockingIOError):
            while part := self.far.recv(1 << 20):
                found += part
        return bytes(found)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets that never wait."""
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        far.setblocking(False)
        yield near, far


Pair = tuple[socket.socket, socket.socket]


async def opened(engine: Any, transport: Wired) -> SseStream:
    """A stream of job-1 on that transport; its head has been taken."""
    stream = SseStream(engine)
    await stream.join(Names(jobs=("job-1",)))
    transport.protocol = stream
    stream.begin(transport, b"")
    transport.take()
    return stream


async def test_a_frame_goes_straight_to_the_kernel(pair: Pair) -> None:
    """The transport sees nothing of it."""
    async with running_engine() as (engine, _):
        transport = Wired(*pair)
        await opened(engine, transport)
        engine.hub.deliver(state("job-1", 1))
        assert transport.received() == state("job-1", 1).sse
        assert transport.take() == b""


async def test_what_the_kernel_does_not_take_is_the_transports(pair: Pair) -> None:
    """Every byte once, in order; after that nothing goes straight until the transport says so."""
    async with running_engine() as (engine, _):
        transport = Wired(*pair)
        await opened(engine, transport)
        transport.stuck, transport.unread = True, 1 << 20  # whatever is written now waits
        big = state("job-1", 1, pad=4_000_000)
        engine.hub.deliver(big)
        straight = transport.received() + transport.take()
        assert 0 < len(straight) < len(big.sse)
        engine.hub.deliver(state("job-1", 2))
        engine.hub.deliver(state("job-1", 3))
        assert transport.received() == transport.take() == b""
        transport.read()
        after = big.sse[len(straight) :] + state("job-1", 3).sse
        while after:
            await settle()
            part = transport.received() + transport.take()
            assert part
            assert after.startswith(part)
            after = after.removeprefix(part)
            transport.read()


async def test_a_broken_connection_is_left_to_the_transport(pair: Pair) -> None:
    """Which knows how to end it."""
    async with running_engine() as (engine, _):
        transport = Wired(*pair)
        await opened(engine, transport)
        pair[1].close()
        engine.hub.deliver(state("job-1", 1))
        assert transport.take() == state("job-1", 1).sse


async def test_tls_keeps_the_plain_way(pair: Pair) -> None:
    """Straight to the kernel would be past the encryption."""
    async with running_engine() as (engine, _):
        transport = Wired(*pair, tls=True)
        await opened(engine, transport)
        engine.hub.deliver(state("job-1", 1))
        assert transport.received() == b""
        assert transport.take() == state("job-1", 1).sse


@pytest.mark.parametrize("end", ["lost", "forgotten"])
async def test_the_descriptor_is_never_closed_by_the_stream(pair: Pair, end: str) -> None:
    """Neither when the connection is lost nor when the stream is just dropped: it belongs to the transport."""
    async with running_engine() as (engine, _):
        transport = Wired(*pair)
        stream = await opened(engine, transport)
        if end == "lost":
            transport.lose()
        else:
            stream.leave()
            engine.admission.closed(stream, opened=True)
        transport.protocol = None
        del stream
        gc.collect()
        pair[0].send(b"still open")
        assert transport.received() == b"still open"
