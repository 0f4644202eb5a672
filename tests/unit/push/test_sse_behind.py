"""An event stream whose reader is behind: what it gets, and when it is cut off."""

import pytest

from hookcast.push import Engine, Names, SseStream
from hookcast.push.direct import KERNEL_BYTES
from hookcast.wire import SSE_END
from support.push import Time, job, nothing_left, open_events, running_engine, settle, sse_versions, state
from support.transports import FakeTransport

pytestmark = pytest.mark.anyio
FULL = 2 * KERNEL_BYTES


async def turn(engine: Engine, time: Time, seconds: float) -> None:
    """Let time pass."""
    time.now += seconds
    await engine.wheel.turn()


async def test_a_reader_that_is_behind_gets_only_the_newest_of_each_job() -> None:
    """States that were not sent replace one another; what was sent stays in order."""
    async with running_engine() as (engine, _):
        _, transport = await open_events(engine, "job-1", "job-2", stuck=True)
        engine.hub.deliver(state("job-1", 1, pad=FULL))
        for version in range(2, 500):
            engine.hub.deliver(state("job-1", version))
            engine.hub.deliver(state("job-2", version))
        assert sse_versions(transport.take()) == [1]
        transport.read()
        await settle()
        assert sse_versions(transport.take()) == [499, 499]
        engine.hub.deliver(state("job-1", 500))
        assert sse_versions(transport.take()) == [500]


async def test_a_reader_that_is_behind_when_its_last_job_ends_still_gets_the_end() -> None:
    """The terminal state, then `end`, then the close."""
    async with running_engine() as (engine, _):
        _, transport = await open_events(engine, "job-1", stuck=True)
        engine.hub.deliver(state("job-1", 1, pad=FULL))
        engine.hub.deliver(state("job-1", 2, ended=True))
        assert not transport.is_closing()
        transport.read()
        await settle()
        assert transport.sent.endswith(state("job-1", 2, ended=True).sse + SSE_END)
        assert transport.is_closing()


async def test_a_reader_that_stays_behind_is_cut_off_after_30_seconds() -> None:
    """And not before; nothing of it stays."""
    time = Time()
    async with running_engine(time=time) as (engine, _):
        _, transport = await open_events(engine, "job-1", stuck=True)
        engine.hub.deliver(state("job-1", 1, pad=FULL))
        await turn(engine, time, 29.9)
        assert not transport.was_aborted()
        await turn(engine, time, 0.3)
        assert transport.was_aborted()
        assert len(engine.hub) == 0
        transport.lose()
        assert nothing_left(engine)


async def test_a_reader_that_catches_up_in_time_starts_anew() -> None:
    """30 seconds count from the moment it fell behind the last time."""
    time = Time()
    async with running_engine(time=time) as (engine, _):
        _, transport = await open_events(engine, "job-1", stuck=True)
        for version in (1, 2, 3):
            engine.hub.deliver(state("job-1", version, pad=FULL))
            await turn(engine, time, 29.0)
            transport.read()
            await settle()
            transport.stuck = True
        assert not transport.is_closing()


async def test_a_reader_that_falls_behind_again_before_it_caught_up_stays_behind() -> None:
    """The transport says so only once."""
    async with running_engine() as (engine, _):
        _, transport = await open_events(engine, "job-1", stuck=True)
        engine.hub.deliver(state("job-1", 1, pad=FULL))
        engine.hub.deliver(state("job-1", 2))
        transport.read()
        transport.protocol.pause_writing()
        await settle()
        assert sse_versions(transport.take()) == [1]
        transport.protocol.resume_writing()
        await settle()
        assert sse_versions(transport.take()) == [2]


async def test_no_ping_is_sent_to_a_reader_that_is_behind() -> None:
    """It would wait behind the rest."""
    time = Time()
    async with running_engine(time=time) as (engine, _):
        _, transport = await open_events(engine, "job-1", stuck=True)
        engine.hub.deliver(state("job-1", 1, pad=FULL))
        await turn(engine, time, 20.0)
        assert b": ping" not in transport.sent


async def test_what_a_stream_begins_with_is_bounded_too() -> None:
    """200 states of 20 KiB wait where they are shared, not in each connection's buffer; all of them arrive."""
    async with running_engine() as (engine, store):
        names = [f"job-{number}" for number in range(200)]
        for name in names:
            store.jobs[name] = job(name, pad=20_000)
        _, transport = await open_events(engine, *names, stuck=True)
        assert len(transport.sent) < KERNEL_BYTES + 30_000
        transport.read()
        await settle()
        assert len(sse_versions(transport.take())) == 200
        engine.hub.deliver(state("job-7", 2))
        assert sse_versions(transport.take()) == [2]


async def test_many_states_to_begin_with_make_no_slow_reader() -> None:
    """Thousands of jobs of its groups may wait; it is cut off when as many new ones as allowed come on top."""
    async with running_engine() as (engine, store):
        for number in range(900):
            for group in ("g", "h", "i"):
                name = f"{group}-{number}"
                store.jobs[name] = job(name, group=group, pad=500)
        _, transport = await open_events(engine, groups=("g", "h", "i"), stuck=True)
        engine.hub.deliver(state("new", group="g"))
        assert not transport.is_closing()
        for number in range(3000):
            engine.hub.deliver(state(f"new-{number}", group="g"))
        assert transport.was_aborted()


async def test_a_reader_that_is_behind_is_cut_off_when_too_many_jobs_wait() -> None:
    """Its memory is bounded however many jobs its group has."""
    async with running_engine() as (engine, _):
        _, transport = await open_events(engine, groups=("g",), stuck=True)
        engine.hub.deliver(state("first", group="g", pad=FULL))
        for number in range(1000):
            engine.hub.deliver(state(f"job-{number}", group="g"))
            engine.hub.deliver(state(f"job-{number}", 2, group="g"))
        assert not transport.was_aborted()
        engine.hub.deliver(state("one-more", group="g"))
        assert transport.was_aborted()
        assert len(engine.hub) == 0


async def test_a_lifetime_that_ends_while_the_reader_is_behind_ends_the_stream() -> None:
    """It comes back for the newest state; what nobody reads is cut off."""
    time = Time()
    async with running_engine(time=time, lifetime=10.0) as (engine, _):
        _, transport = await open_events(engine, "job-1", stuck=True)
        engine.hub.deliver(state("job-1", 1, pad=FULL))
        engine.hub.deliver(state("job-1", 2))
        await turn(engine, time, 30.5)
        assert transport.is_closing()
        assert len(engine.hub) == 0
        await turn(engine, time, 5.5)
        assert transport.was_aborted()


async def test_a_node_that_was_paused_behind_an_earlier_answer_begins_behind() -> None:
    """A transport that is full when it is handed over is written to once it is read."""
    async with running_engine(job()) as (engine, _):
        stream, transport = SseStream(engine), FakeTransport()
        transport.protocol = stream
        with engine.admission.opening(stream):
            await stream.join(Names(jobs=("job-1",)))
            stream.pause_writing()
            stream.begin(transport, b"")
        engine.hub.deliver(state(version=2))
        assert sse_versions(transport.sent) == []
        stream.resume_writing()
        await settle()
        assert sse_versions(transport.sent) == [2]
