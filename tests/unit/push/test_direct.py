"""The direct way to the kernel: what goes which way, in which order, and that the descriptor stays the transport's."""

import contextlib
import gc
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from hookcast.auth import EVERYBODY, Caller
from hookcast.push import Names, SseStream, WebSocketStream
from hookcast.push.direct import DirectSocket, send_to_each
from support.push import Time, client_frames, job, running_engine, settle, sse_versions, state, ws_messages
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


Pair = tuple[socket.socket, socket.socket]


@contextlib.contextmanager
def paired() -> Iterator[Pair]:
    """Two connected sockets that never wait."""
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        far.setblocking(False)
        yield near, far


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two connected sockets."""
    with paired() as found:
        yield found


@pytest.fixture
def pairs() -> Iterator[list[Pair]]:
    """Five times two connected sockets."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(paired()) for _ in range(5)]


async def opened(engine: Any, transport: Wired, caller: Caller = EVERYBODY) -> SseStream:
    """A stream of job-1 on that transport; its head has been taken."""
    stream = SseStream(engine, caller)
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


async def test_of_many_streams_each_gets_the_state_whatever_becomes_of_the_others(pairs: list[Pair]) -> None:
    """Among those that take it: one that is full, one that is broken, one with TLS."""
    async with running_engine() as (engine, _):
        first, full, broken, encrypted, last = (Wired(*pair, tls=number == 3) for number, pair in enumerate(pairs))
        for transport in (first, full, broken, encrypted, last):
            await opened(engine, transport)
        with contextlib.suppress(BlockingIOError):
            while True:
                full.near.send(b"x" * 1000)
        broken.far.close()
        found = [state("job-1", 1), state("job-1", 2)]
        for each in found:
            engine.hub.deliver(each)
        both = b"".join(each.sse for each in found)
        assert [each.received() for each in (first, last)] == [both] * 2
        assert [each.take() for each in (full, broken, encrypted)] == [both] * 3


async def test_a_frame_that_the_kernel_takes_in_part_goes_on_through_the_transport(pairs: list[Pair]) -> None:
    """From the first byte that it has not taken."""
    (near, far), *_ = pairs
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the kernel takes its least
    frame = bytes(range(256)) * 4000
    [(position, sent)] = send_to_each([DirectSocket(fileno=pair[0].fileno()) for pair in pairs[:1]], frame)
    assert position == 0
    assert 0 < sent < len(frame)
    assert Wired(near, far).received() == frame[:sent]


async def test_a_stream_whose_token_has_expired_gets_no_more(pairs: list[Pair]) -> None:
    """Though the timer has not closed it yet, and others get the state."""
    time = Time()
    async with running_engine(time=time) as (engine, _):
        transports = [Wired(*pair) for pair in pairs[:2]]
        until = engine.gate.clock() + 60
        callers = (Caller(jobs=frozenset({"job-1"}), expires_at=until), EVERYBODY)
        for transport, caller in zip(transports, callers, strict=True):
            await opened(engine, transport, caller)
        engine.hub.deliver(state("job-1", 1))
        time.now += 61
        engine.hub.deliver(state("job-1", 2))
        assert [sse_versions(transport.received()) for transport in transports] == [[1], [1, 2]]


async def test_a_stream_is_not_shown_the_jobs_of_others(pair: Pair) -> None:
    """In a group that its token does not name."""
    async with running_engine() as (engine, _):
        transport, stream = Wired(*pair), SseStream(engine, Caller(sub="user-1"))
        await stream.join(Names(groups=("g",)))
        stream.begin(transport, b"")
        transport.take()
        for number in (1, 2):
            engine.hub.deliver(state(f"job-{number}", number, owner=f"user-{number}", group="g"))
        assert sse_versions(transport.received()) == [1]


@pytest.mark.parametrize("names", [("job-1",), ("job-1", "job-2")])
async def test_a_state_pushed_while_a_subscription_is_read_follows_its_confirmation(
    pair: Pair, names: tuple[str, ...]
) -> None:
    """On a WebSocket that could take it at once."""
    async with running_engine(job(version=1)) as (engine, store):
        store.hold = True
        socket, transport = WebSocketStream(engine), Wired(*pair)
        transport.protocol = socket
        socket.begin(transport)
        socket.data_received(client_frames({"type": "subscribe", "requestIds": names}))
        await settle()
        engine.hub.deliver(state(version=2))
        store.hold = False
        store.let_go()
        await settle()
        confirmed, *states = ws_messages(transport.take() + transport.received())
        assert confirmed["type"] == "subscribed"
        assert [message["job"]["version"] for message in states] == [2]


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
