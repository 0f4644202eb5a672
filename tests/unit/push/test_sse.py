"""The life of a stream, seen at SSE: behind, slow, silent, old, drained, lost."""

import asyncio
import re
from typing import Any

import pytest

from hookcast.errors import Draining, StoreUnavailable, TooManyStreams
from hookcast.push import Engine, Names, SseStream
from hookcast.push.direct import KERNEL_BYTES
from hookcast.wire import SSE_END, encode
from support.push import Time, job, nothing_left, open_events, running_engine, settle, sse_versions, state
from support.transports import FakeTransport

pytestmark = pytest.mark.anyio
FULL = 2 * KERNEL_BYTES


async def turn(engine: Engine, time: Time, seconds: float) -> None:
    """Let time pass."""
    time.now += seconds
    await engine.wheel.turn()


async def test_streams_end_after_80_to_100_percent_of_their_lifetime() -> None:
    """Each with a `retry:`, at different times, and cut off when the client hangs."""
    time = Time()
    async with running_engine(time=time, lifetime=3600.0) as (engine, _):
        transports = [(await open_events(engine, "job-1"))[1] for _ in range(100)]
        await turn(engine, time, 0.79 * 3600)
        assert not any(transport.is_closing() for transport in transports)
        await turn(engine, time, 0.11 * 3600)
        assert 20 < sum(transport.is_closing() for transport in transports) < 80
        await turn(engine, time, 0.1 * 3600 + 1)
        assert all(transport.is_closing() and transport.sent.count(b"retry: ") == 2 for transport in transports)
        await turn(engine, time, 5.2)
        assert all(transport.was_aborted() for transport in transports)
        assert len(engine.wheel) == 0


async def test_a_drain_spreads_the_times_to_come_back() -> None:
    """Over the drain window, then the close."""
    async with running_engine(drain=10.0) as (engine, _):
        transports = [(await open_events(engine, "job-1"))[1] for _ in range(200)]
        engine.admission.drain()
        engine.admission.drain()
        times = [int(re.findall(rb"retry: (\d+)", transport.sent)[1]) for transport in transports]
        assert all(transport.is_closing() for transport in transports)
        assert len(engine.hub) == 0
    assert min(times) >= 500
    assert max(times) <= 10_000
    assert len({number // 1000 for number in times}) >= 8


async def test_a_drain_during_the_join_ends_the_stream_as_it_begins() -> None:
    """State first, then the `retry:`, then the close; new ones are refused."""
    async with running_engine(job()) as (engine, store):
        store.hold = True
        opening = asyncio.ensure_future(open_events(engine, "job-1"))
        await settle()
        engine.admission.drain()
        store.let_go()
        _, transport = await opening
        assert sse_versions(transport.sent) == [1]
        assert transport.sent.count(b"retry: ") == 2
        assert transport.is_closing()
        with pytest.raises(Draining):
            await open_events(engine, "job-1")


async def test_the_end_of_the_engine_is_a_drain() -> None:
    """Also when nobody has asked for one before."""
    async with running_engine() as (engine, _):
        _, transport = await open_events(engine, "job-1")
    assert transport.is_closing()
    assert transport.sent.count(b"retry: ") == 2


async def test_a_state_pushed_while_the_store_is_read_is_not_lost_or_overtaken() -> None:
    """Whichever of the two is newer goes out, once."""
    for pushed, stored in ((1, 2), (2, 1), (2, 2)):
        async with running_engine() as (engine, store):
            store.hold = True
            opening = asyncio.ensure_future(open_events(engine, "job-1"))
            await settle()
            engine.hub.deliver(state(version=pushed))
            store.jobs["job-1"] = job(version=stored)
            store.let_go()
            _, transport = await opening
            assert sse_versions(transport.sent) == [2]


async def test_a_job_that_ends_while_the_stream_joins_ends_it() -> None:
    """The store's older state is not sent."""
    async with running_engine(job()) as (engine, store):
        store.hold = True
        opening = asyncio.ensure_future(open_events(engine, "job-1"))
        await settle()
        engine.hub.deliver(state(version=2, ended=True))
        store.let_go()
        _, transport = await opening
        assert transport.sent.endswith(state(version=2, ended=True).sse + SSE_END)
        assert sse_versions(transport.sent) == [2]
        assert transport.is_closing()


async def test_a_stream_ends_with_the_last_of_its_jobs() -> None:
    """Whether they ended before, while or after it joined; each counts once."""
    async with running_engine(job("a", ended=True)) as (engine, _):
        _, transport = await open_events(engine, "a", "b", "c")
        engine.hub.deliver(state("b", 1, ended=True))
        engine.hub.deliver(state("b", 2, ended=True))
        assert not transport.is_closing()
        engine.hub.deliver(state("c", 1, ended=True))
        assert transport.sent.endswith(SSE_END)
        assert transport.is_closing()


async def test_a_stream_that_names_a_group_has_no_end() -> None:
    """Not even when its jobs have ended; a job watched twice is sent once."""
    async with running_engine(job(group="g")) as (engine, _):
        _, transport = await open_events(engine, "job-1", groups=("g",))
        engine.hub.deliver(state(version=2, ended=True, group="g"))
        assert sse_versions(transport.sent) == [1, 2]
        assert not transport.is_closing()


async def test_a_store_that_fails_leaves_nothing_behind() -> None:
    async with running_engine() as (engine, store):
        store.down = True
        with pytest.raises(StoreUnavailable):
            await open_events(engine, "job-1", groups=("g",))
        assert nothing_left(engine)


async def test_a_client_that_leaves_during_the_join_leaves_nothing_behind() -> None:
    async with running_engine() as (engine, store):
        store.hold = True
        opening = asyncio.ensure_future(open_events(engine, "job-1"))
        await settle()
        opening.cancel()
        await settle()
        assert nothing_left(engine)


async def test_a_stream_that_fails_to_begin_is_cut_and_forgotten() -> None:
    """The server has given the connection away by then."""

    class Broken(FakeTransport):
        def write(self, data: Any) -> None:
            raise RuntimeError(data)

    async with running_engine(job()) as (engine, _):
        stream, transport = SseStream(engine), Broken()

        async def open_it() -> None:
            with engine.admission.opening(stream):
                await stream.join(Names(jobs=("job-1",)))
                stream.begin(transport, b"")

        with pytest.raises(RuntimeError):
            await open_it()
        assert transport.was_aborted()
        assert nothing_left(engine)


async def test_no_more_streams_get_in_than_there_is_room_for() -> None:
    """Those that connect at the same moment count, too; a place that was given up is free again."""
    async with running_engine(max_streams=3) as (engine, store):
        store.hold = True
        opening = [asyncio.ensure_future(open_events(engine, "job-1")) for _ in range(5)]
        await settle()
        store.let_go()
        answers = await asyncio.gather(*opening, return_exceptions=True)
        assert [type(answer) for answer in answers].count(TooManyStreams) == 2
        store.hold = False
        for answer in answers[:1]:
            assert not isinstance(answer, BaseException)
            answer[1].lose()
        await open_events(engine, "job-1")
        with pytest.raises(TooManyStreams):
            await open_events(engine, "job-1")


async def test_streams_that_join_together_share_the_bytes() -> None:
    """A state is encoded once a node."""
    async with running_engine(job()) as (engine, _):
        kept = []
        for _ in range(2):
            stream = SseStream(engine)
            await stream.join(Names(jobs=("job-1",)))
            kept.append(stream)
        known = [stream._first[0] for stream in kept]
        assert known[0] is known[1]
        assert known[0].body == encode(job()).body
        for stream in kept:
            stream.leave()


async def test_the_head_and_small_states_leave_as_one_write() -> None:
    """A system call costs more than to copy them."""

    class Counting(FakeTransport):
        writes = 0

        def write(self, data: Any) -> None:
            self.writes += 1
            super().write(data)

    async with running_engine(job("a"), job("b")) as (engine, _):
        stream, transport = SseStream(engine), Counting()
        transport.protocol = stream
        with engine.admission.opening(stream):
            await stream.join(Names(jobs=("a", "b")))
            stream.begin(transport, b"head")
        assert sse_versions(transport.sent) == [1, 1]
        assert transport.writes == 1


async def test_no_client_sees_an_empty_event() -> None:
    """Many report each blank line as an event: one follows `data:` only, from the first byte to the drain."""
    time = Time()
    async with running_engine(job("known"), time=time) as (engine, _):
        _, transport = await open_events(engine, "known", "later")
        assert re.match(rb"retry: \d+\nid: 1\nevent: job\n", transport.sent)
        await turn(engine, time, 15.0)
        engine.hub.deliver(state("later", 1))
        await turn(engine, time, 15.0)
        engine.admission.drain()
    *blocks, rest = bytes(transport.sent).split(b"\n\n")
    assert len(blocks) == 2
    assert all(b"\ndata: " in block for block in blocks)
    assert re.fullmatch(rb"(: ping\n)+retry: \d+\n", rest)
    assert b"\n: ping\nid: " in b"\n" + blocks[1]


async def test_the_first_bytes_leave_at_once() -> None:
    """`retry:` alone, while nothing is known of the job."""
    async with running_engine() as (engine, _):
        _, transport = await open_events(engine, "job-1")
        assert re.fullmatch(rb"retry: \d+\n", transport.sent)
