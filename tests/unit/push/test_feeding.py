"""First states and large ones: read as the reader takes them, never mixed with anything else, within fixed bounds."""

import asyncio

import pytest

from hookcast.push import Names, SseStream
from hookcast.push.shared import Kept, Turns, cost
from support.push import (
    Time,
    client_frames,
    job,
    open_events,
    open_socket,
    running_engine,
    settle,
    sse_versions,
    state,
    ws_messages,
)
from support.transports import FakeTransport

pytestmark = pytest.mark.anyio
LARGE = 300_000
GROUP = [job(f"job-{number}", group="g", pad=LARGE) for number in range(20)]


async def take_a_little(transport: FakeTransport) -> None:
    """The reader takes what waits, and stops again."""
    transport.read()
    transport.stuck = True
    await settle()


@pytest.mark.parametrize("kind", ["sse", "websocket"])
async def test_large_first_states_are_read_as_the_reader_takes_them(kind: str) -> None:
    """A reader that does not read costs one of them; one that does gets each job once."""
    async with running_engine(*GROUP) as (engine, store):
        if kind == "sse":
            _, transport = await open_events(engine, groups=("g",), stuck=True)
        else:
            socket, transport = open_socket(engine, stuck=True)
            await socket.receive('{"type":"subscribe","groups":["g"]}')
        await settle()
        assert len(store.read) == 1
        await take_a_little(transport)
        assert len(store.read) <= 3
        transport.read()
        await settle()
        assert transport.sent.count(b'"version":1') == 20
        assert sorted(store.read) == sorted(found.request_id for found in GROUP)


async def test_a_newer_state_follows_the_large_one_that_is_under_way() -> None:
    """Whole, and without those in between."""
    async with running_engine() as (engine, _):
        _, transport = await open_events(engine, "job-1", stuck=True)
        engine.hub.deliver(state(version=1, pad=LARGE))
        for version in range(2, 9):
            engine.hub.deliver(state(version=version, pad=LARGE))
        transport.read()
        await settle()
        assert transport.take().endswith(state(version=1, pad=LARGE).sse + state(version=8, pad=LARGE).sse)


async def test_a_store_that_fails_later_holds_up_large_first_states_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream stays open and goes on; what was missing follows once the store is back."""
    monkeypatch.setattr("hookcast.push.feeding.AGAIN_SECONDS", 0.0)
    async with running_engine(job("large", pad=LARGE)) as (engine, store):
        stream, transport = SseStream(engine), FakeTransport()
        transport.protocol = stream
        with engine.admission.opening(stream):
            await stream.join(Names(jobs=("large", "small")))
            store.down = True
            stream.begin(transport, b"")
        await settle()
        engine.hub.deliver(state("small", 7))
        assert sse_versions(transport.take()) == [7]
        store.down = False
        await settle()
        assert transport.take() == state("large", pad=LARGE).sse


async def test_a_ping_says_that_no_state_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the store is away, another comment ends the silence."""
    monkeypatch.setattr("hookcast.push.feeding.AGAIN_SECONDS", 0.0)
    time = Time()
    async with running_engine(job("large", pad=LARGE), time=time) as (engine, store):
        stream, transport = SseStream(engine), FakeTransport()
        transport.protocol = stream
        with engine.admission.opening(stream):
            await stream.join(Names(jobs=("large", "unknown")))
            store.down = True
            stream.begin(transport, b"")
        for back, comment in ((False, b": waiting\n: ping\n"), (True, b": ping\n")):
            store.down = not back
            await settle()
            transport.take()
            time.now += 15.0
            await engine.wheel.turn()
            assert transport.take() == comment


async def test_no_message_is_sent_within_a_large_one() -> None:
    """Pongs and confirmations wait until it is whole."""
    async with running_engine(job("job-1", pad=LARGE)) as (engine, _):
        socket, transport = open_socket(engine, stuck=True)
        await socket.receive('{"type":"subscribe","requestIds":["job-1"]}')
        await settle()
        assert socket.midway
        await socket.receive('{"type":"subscribe","requestIds":["job-2"]}')
        socket.data_received(b"\x89\x80\0\0\0\0" + client_frames({"type": "unsubscribe", "requestIds": ["job-2"]}))
        await settle()
        transport.read()
        await settle()
        data = bytes(transport.sent).replace(b"\x8a\x00", b"")
        assert [message["type"] for message in ws_messages(data)] == ["subscribed", "job", "subscribed"]
        assert len(data) == len(transport.sent) - 2


async def test_a_large_state_that_changed_before_it_was_sent_breaks_the_stream_off() -> None:
    """Two halves of two states are no state: the client begins anew."""
    async with running_engine(job("job-1", pad=LARGE)) as (engine, store):
        _, transport = await open_events(engine, "job-1", stuck=True)
        await settle()
        for number in range(40):
            engine.recent.put_partial(state(f"other-{number}", pad=LARGE))
        store.jobs["job-1"] = job("job-1", 2, pad=LARGE)
        transport.read()
        await settle()
        assert transport.was_aborted()


async def test_a_large_state_is_read_again_to_be_finished() -> None:
    """When nobody kept it: byte for byte."""
    async with running_engine(job("job-1", pad=LARGE)) as (engine, store):
        _, transport = await open_events(engine, "job-1", stuck=True)
        await settle()
        for number in range(40):
            engine.recent.put_partial(state(f"other-{number}", pad=LARGE))
        transport.read()
        await settle()
        assert transport.sent.endswith(state("job-1", pad=LARGE).sse)
        assert store.read == ["job-1", "job-1"]


async def test_turns_are_taken_in_order_within_the_limit() -> None:
    """What is larger than the limit goes alone; who leaves gives its turn to the next one."""
    turns, order = Turns(100), list[int]()

    async def work(size: int) -> None:
        async with turns.turn(size):
            assert turns.size <= max(100, size)
            order.append(size)
            await asyncio.sleep(0)

    tasks = [asyncio.ensure_future(work(size)) for size in (60, 61, 1, 1000, 50, 40)]
    await asyncio.sleep(0)
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [60, 61, 1000, 50, 40]
    assert (turns.size, len(turns)) == (0, 0)


def test_what_is_kept_is_bounded() -> None:
    """The oldest go first; the newest stays whatever its size."""
    size = cost(len(state("a", pad=1000).body))
    kept = Kept(3 * size)
    for name in "abcd":
        kept.put(name, state(name, pad=1000))
    assert [kept.get(name) is not None for name in "abcd"] == [False, True, True, True]
    kept.put("e", state("e", pad=100_000))
    assert [kept.get(name) is not None for name in "abcde"] == [False, False, False, False, True]
