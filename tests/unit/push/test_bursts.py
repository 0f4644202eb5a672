"""States that come in one turn of the event loop: one write for each stream, and nothing lost or out of order."""

import asyncio
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookcast.jobs import Job
from hookcast.push.direct import KERNEL_BYTES
from hookcast.push.feeding import WRITE_BYTES
from hookcast.wire import LARGE_BYTES, SSE_END, encode
from support.push import (
    client_frames,
    job,
    nothing_left,
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
JOBS = tuple(f"job-{number}" for number in range(40))


class Counted(FakeTransport):
    """Counts the writes."""

    writes = 0

    def write(self, data: object) -> None:
        """Count one."""
        self.writes += 1
        super().write(data)


def counted(transport: FakeTransport) -> Counted:
    """Count the writes from now on."""
    transport.__class__ = Counted
    transport.take()
    assert isinstance(transport, Counted)
    return transport


async def test_jobs_that_end_at_once_leave_in_one_write_with_the_end() -> None:
    """All 40 of a stream: their states in order, then `end`, then the close."""
    async with running_engine() as (engine, _):
        transport = counted((await open_events(engine, *JOBS))[1])
        for name in JOBS:
            engine.hub.hear(state(name, 1, ended=True))
        await settle()
        sent = transport.take()
        assert sent == b"".join(state(name, 1, ended=True).sse for name in JOBS) + SSE_END
        assert transport.writes == 2
        assert transport.is_closing()


async def test_a_lone_state_is_the_same_object_for_all() -> None:
    """Nothing is copied for it, and it is pushed as soon as what is ready has run."""
    async with running_engine() as (engine, _):
        _, transport = await open_events(engine, "job-1")
        transport.take()
        engine.hub.hear(state())
        assert transport.take() == b""
        await asyncio.sleep(0)
        assert transport.take() == state().sse


async def test_a_socket_gets_its_states_in_one_write_too() -> None:
    async with running_engine() as (engine, _):
        socket, opened = open_socket(engine)
        socket.data_received(client_frames({"type": "subscribe", "requestIds": JOBS}))
        await settle()
        transport = counted(opened)
        for version in (1, 2):
            for name in JOBS:
                engine.hub.hear(state(name, version))
        await settle()
        got = [(message["job"]["requestId"], message["job"]["version"]) for message in ws_messages(transport.take())]
        assert got == [(name, version) for version in (1, 2) for name in JOBS]
        assert transport.writes == 1


async def test_what_a_reader_does_not_take_is_kept_as_names() -> None:
    """What is unsent in the event loop stays small, however many states come at once."""
    async with running_engine(*(job(name, pad=LARGE_BYTES // 2) for name in JOBS)) as (engine, _):
        _, transport = await open_events(engine, *JOBS, stuck=True)
        transport.take()
        for name in JOBS:
            engine.hub.hear(state(name, 2, pad=LARGE_BYTES // 2))
        await settle()
        before = transport.take()
        assert len(before) <= KERNEL_BYTES + WRITE_BYTES
        transport.read()
        await settle()
        assert sse_versions(before + transport.take()) == [2] * len(JOBS)


async def test_a_burst_while_a_socket_subscribes_waits_for_the_confirmation() -> None:
    """And the newest state of the job comes once."""
    async with running_engine(job()) as (engine, store):
        store.hold = True
        socket, transport = open_socket(engine)
        socket.data_received(client_frames({"type": "subscribe", "requestIds": ["job-1"]}))
        await settle()
        for version in (2, 3):
            engine.hub.hear(state("job-1", version))
        await settle()
        assert transport.take() == b""
        store.hold = False
        store.let_go()
        await settle()
        confirmed, *jobs = ws_messages(transport.take())
        assert (confirmed["type"], [message["job"]["version"] for message in jobs]) == ("subscribed", [3])


async def test_a_burst_while_many_jobs_are_read_is_one_write_too() -> None:
    """The states read from the store follow, except those that the burst has outdated."""
    async with running_engine(*map(job, JOBS)) as (engine, store):
        store.hold = True
        socket, opened = open_socket(engine)
        socket.data_received(client_frames({"type": "subscribe", "requestIds": JOBS}))
        await settle()
        transport = counted(opened)
        for name in JOBS[:30]:
            engine.hub.hear(state(name, 2))
        await settle()
        assert transport.writes == 1
        store.hold = False
        store.let_go()
        await settle()
        got = [(message["job"]["requestId"], message["job"]["version"]) for message in ws_messages(transport.take())]
        assert got == [(name, 2) for name in JOBS[:30]] + [(name, 1) for name in JOBS[30:]]


async def test_a_burst_while_one_more_job_is_read_is_one_write_too() -> None:
    """Without that job's state, which follows its confirmation."""
    async with running_engine(*map(job, JOBS)) as (engine, store):
        socket, opened = open_socket(engine)
        socket.data_received(client_frames({"type": "subscribe", "requestIds": JOBS[1:]}))
        await settle()
        transport = counted(opened)
        store.hold = True
        socket.data_received(client_frames({"type": "subscribe", "requestIds": JOBS[:1]}))
        await settle()
        for name in JOBS:
            engine.hub.hear(state(name, 2))
        await settle()
        assert transport.writes == 1
        assert [message["job"]["requestId"] for message in ws_messages(transport.take())] == list(JOBS[1:])
        store.hold = False
        store.let_go()
        await settle()
        confirmed, held = ws_messages(transport.take())
        assert (confirmed["type"], held["job"]["requestId"], held["job"]["version"]) == ("subscribed", JOBS[0], 2)


def ends_of(data: bytes) -> dict[str, int]:
    """The newest version of each job, as a client has it."""
    found: dict[str, int] = {}
    for version, name in re.findall(rb'(?m)^id: (\d+)\nevent: job\ndata: \{"requestId":"([^"]+)"', data):
        assert int(version) > found.get(name.decode(), 0), "a state came twice, or an older one"
        found[name.decode()] = int(version)
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_a_stream_ends_with_all_newest_states_whatever_comes_in_one_turn(seed: int) -> None:
    """Small and large ones, to readers that stop and go on: then `end`."""
    chance = random.Random(seed)  # noqa: S311
    names = JOBS[: chance.randint(1, 6)]

    def change(versions: dict[str, int], pending: list[str]) -> Job:
        name = chance.choice(pending)
        versions[name] += 1
        ended = chance.random() < 0.3
        if ended:
            pending.remove(name)
        return job(name, versions[name], ended=ended, pad=chance.choice((0, 0, 0, LARGE_BYTES * 3)))

    async def play() -> None:
        async with running_engine(*(job(name) for name in names)) as (engine, store):
            _, transport = await open_events(engine, *names, stuck=chance.random() < 0.5)
            versions, pending = dict.fromkeys(names, 1), list(names)
            while pending or not transport.is_closing():
                for changed in [change(versions, pending) for _ in range(chance.randint(1, 8)) if pending]:
                    store.jobs[changed.request_id] = changed
                    engine.hub.hear(encode(changed))
                if chance.random() < 0.5:
                    await settle()
                if chance.random() < 0.5:
                    transport.read()
            transport.lose()
            assert ends_of(bytes(transport.sent)) == versions
            assert transport.sent.endswith(SSE_END)
            assert nothing_left(engine)

    asyncio.run(play())
