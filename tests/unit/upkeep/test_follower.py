"""The follower: how often it writes, and what ends it."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import pytest
from msgspec import Raw, json

from hookcast.bus import Condition
from hookcast.dispatcher import Dispatcher
from hookcast.fal.queue import FalQueue
from hookcast.jobs import CancelRequested, Completed, Job, JobStatus, Phase, Registered, Update
from hookcast.journal import Notebook
from hookcast.push import Engine
from hookcast.store import open_store
from hookcast.upkeep import follower
from hookcast.upkeep.asking import Asking
from hookcast.upkeep.collector import Collector
from hookcast.upkeep.follower import Follower
from hookcast.upkeep.leases import LeaseKeeper
from hookcast.wire import State
from support.fakes import Outage, Sleeper, tasks_of_the_server
from support.fal import ENDPOINT, QUEUE, Answer, FalDouble, LiveStream, sse_answer
from support.following import OpenKeeper, SilentEngine
from support.server import until
from support.working import collecting

pytestmark = pytest.mark.anyio

STREAM = "/status/stream"
STATUS = "/requests/job-1/status"
RESULT = "/requests/job-1"


def queued(position: int) -> dict[str, Any]:
    """A status of fal's."""
    return {"status": "IN_QUEUE", "queue_position": position}


def running(*lines: str) -> dict[str, Any]:
    """Another one, with new log lines."""
    return {"status": "IN_PROGRESS", "logs": [{"message": line, "timestamp": line} for line in lines]}


DONE: dict[str, Any] = {"status": "COMPLETED"}


class OpenBus:
    """Keeps every state that is published."""

    def __init__(self) -> None:
        self.states: list[dict[str, Any]] = []

    condition: Condition = "ok"

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Everything is kept anyway."""

    def unsubscribe(self, topics: Iterable[str]) -> None:
        """Still everything."""

    async def publish(self, state: State) -> None:
        """Keep it."""
        self.states.append(json.decode(state.body))


class World:
    """A follower between fal's double and a store; one job, `job-1`."""

    def __init__(self, outage: Outage, client: httpx.AsyncClient, fal: FalDouble) -> None:
        self.outage = outage
        self.fal = fal
        self.fal.script(STATUS, httpx.ConnectError("cut"))
        self.sleep = Sleeper()
        self.passed: list[float] = []  # the seconds that the collector waited
        self.bus = OpenBus()
        self.dispatcher = Dispatcher(outage.store, self.bus, lambda: datetime.now(UTC))
        fal_queue = FalQueue(client, QUEUE, "key", sleep=Sleeper(free=True))
        self.now = datetime.now(UTC)
        asking = Asking(fal_queue, lambda: self.now, Notebook(lambda: self.now))
        self.collector = Collector(outage.store, self.dispatcher, asking, clock=lambda: self.now)
        self.engine = SilentEngine()
        self.follower = Follower(
            store=outage.store,
            engine=cast("Engine", self.engine),
            dispatcher=self.dispatcher,
            fal=asking,
            keeper=cast("LeaseKeeper", OpenKeeper()),
            sleep=self.sleep,
        )

    async def report(self, update: Update) -> Job:
        """Change the job from elsewhere."""
        return (await self.dispatcher.apply("job-1", update)).after

    async def live(self) -> LiveStream:
        """Begin to watch; answers fal's open stream."""
        stream = LiveStream()
        self.fal.script(STREAM, stream)
        self.engine.hub.interest.tell("job-1", watched=True)
        await until(lambda: stream.opened)
        return stream

    @property
    def opened(self) -> int:
        """How often fal's stream was asked for."""
        return len(self.fal.asked(STREAM))

    @property
    def reopenings(self) -> list[float]:
        """The pauses before it was opened again."""
        return [pause for pause in self.sleep.pauses if pause != 0.2]


@asynccontextmanager
async def _fetching(world: World, url: str) -> AsyncIterator[World]:
    async with collecting(url, world.collector, world.dispatcher, world.passed.append):
        yield world


@pytest.fixture
async def world(database_url: str, fal: FalDouble) -> AsyncIterator[World]:
    """A running follower whose job is registered. At the end no task of it may be left."""
    async with (
        open_store(database_url) as store,
        httpx.AsyncClient(transport=fal) as client,
        _fetching(World(Outage(store), client, fal), database_url) as made,
    ):
        owned = [asyncio.ensure_future(made.follower.run())]
        await made.dispatcher.register("job-1", Registered(endpoint_id=ENDPOINT))
        made.bus.states.clear()
        resting = tasks_of_the_server()
        try:
            yield made
            made.engine.hub.interest.tell("job-1", watched=False)
            made.sleep.wake()
            await until(lambda: tasks_of_the_server() <= resting)
        finally:
            for task in owned:
                task.cancel()
            await asyncio.wait(owned)


async def test_states_wait_for_each_other_and_the_newest_wins(world: World) -> None:
    """One state, then a fifth of a second, then one state of all that came meanwhile; no log line is left out."""
    stream = await world.live()
    stream.tell(queued(3))
    await until(lambda: world.sleep.pauses)
    stream.tell(queued(2), queued(1), running(), running("a"))
    stream.tell(running("b", "c"))
    await until(lambda: stream.idle)
    assert [state["progress"]["queuePosition"] for state in world.bus.states] == [3]
    world.sleep.wake()
    await until(lambda: len(world.sleep.pauses) == 2)
    assert len(world.bus.states) == 2
    progress = world.bus.states[1]["progress"]
    assert (progress["phase"], progress["queuePosition"]) == ("running", None)
    assert [line["message"] for line in progress["logs"]] == ["a", "b", "c"]
    assert world.sleep.pauses == [0.2, 0.2]


async def test_a_flood_of_log_lines_stays_bounded_while_it_waits(world: World) -> None:
    """Only the last 50 can be shown, so no more are kept."""
    stream = await world.live()
    stream.tell(queued(3))
    await until(lambda: world.sleep.pauses)
    stream.tell(*(running(f"{number:04}") for number in range(1000)))
    await until(lambda: stream.idle)
    world.sleep.wake()
    await until(lambda: len(world.sleep.pauses) == 2)
    lines = [line["message"] for line in world.bus.states[-1]["progress"]["logs"]]
    assert lines == [f"{number:04}" for number in range(950, 1000)]


async def test_it_ends_with_the_last_watcher(world: World) -> None:
    """The connection to fal is closed, and no task is left (the fixture looks)."""
    stream = await world.live()
    stream.tell(queued(3))
    await until(lambda: world.bus.states)
    world.engine.hub.interest.tell("job-1", watched=False)
    await until(lambda: stream.closed)
    assert world.opened == 1


async def test_it_ends_with_the_last_watcher_between_two_streams(world: World) -> None:
    """While it pauses there is nothing to close, and nothing is opened any more."""
    world.fal.script(STREAM, httpx.ConnectError("cut"))
    world.engine.hub.interest.tell("job-1", watched=True)
    await until(lambda: world.sleep.pauses)
    world.engine.hub.interest.tell("job-1", watched=False)
    world.sleep.wake()
    assert world.opened == 1


async def test_a_job_that_nobody_knows_yet_is_not_asked_for(world: World) -> None:
    """It waits for the registration, and ends with its watcher."""
    world.engine.hub.interest.tell("job-2", watched=True)
    world.engine.hub.interest.tell("job-2", watched=False)
    assert world.opened == 0


async def test_it_ends_with_the_job(world: World) -> None:
    """Somebody still watches; fal's next report finds the job ended, and the stream is closed."""
    stream = await world.live()
    await world.report(Completed(result=Raw(b"1")))
    stream.tell(running("late"))
    await until(lambda: world.sleep.pauses)
    world.sleep.wake()
    stream.tell(running("later"))
    await until(lambda: stream.closed)
    world.sleep.wake()
    assert [state["status"] for state in world.bus.states] == ["completed"]
    assert world.opened == 1


async def test_a_job_that_has_ended_is_not_followed(world: World) -> None:
    """Whoever comes late costs no request."""
    await world.report(Completed(result=Raw(b"1")))
    before = tasks_of_the_server()
    world.engine.hub.interest.tell("job-1", watched=True)
    await until(lambda: tasks_of_the_server() <= before)
    assert world.opened == 0


async def test_what_fal_has_finished_is_collected_even_if_the_watcher_leaves(world: World) -> None:
    """The webhook is given three seconds to come first."""
    world.fal.script(RESULT, httpx.Response(200, json={"ok": True}))
    stream = await world.live()
    stream.tell(DONE)
    await until(lambda: world.bus.states)
    world.engine.hub.interest.tell("job-1", watched=False)
    await until(lambda: world.bus.states[-1]["status"] == "completed")
    assert world.passed == pytest.approx([3.0], abs=2.9)
    assert world.bus.states[-1]["result"] == {"ok": True}


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (httpx.Response(499, json={"detail": "Request was cancelled"}), "cancelled"),
        (httpx.Response(200, json={"ok": True}), "completed"),
    ],
)
async def test_a_job_that_is_being_cancelled_ends_as_fal_says(
    world: World, answer: httpx.Response, status: str
) -> None:
    """fal's COMPLETED alone does not tell: until the outcome is here it stays `cancelling`."""
    world.fal.script(RESULT, answer)
    stream = await world.live()
    await world.report(CancelRequested())
    stream.tell(DONE)
    await until(lambda: world.bus.states[-1]["status"] != "pending")
    assert {state["progress"]["phase"] for state in world.bus.states[:-1]} == {"cancelling"}
    assert world.bus.states[-1]["status"] == status


async def test_a_broken_stream_is_opened_again_after_growing_pauses(world: World) -> None:
    """Doubled from half a second to half a minute, each spread over its upper half."""
    stream = LiveStream()
    breaks: list[Answer] = [
        httpx.ConnectError("cut"),
        httpx.Response(503),
        httpx.Response(500),
        httpx.ReadTimeout("silent"),
    ]
    world.fal.script(STREAM, *breaks, *breaks, stream)
    world.sleep.free = True
    world.engine.hub.interest.tell("job-1", watched=True)
    await until(lambda: stream.opened)
    for pause, most in zip(world.reopenings, (0.5, 1, 2, 4, 8, 16, 30, 30), strict=True):
        assert most / 2 <= pause <= most


async def test_pauses_start_anew_only_when_a_stream_brought_something_new(world: World) -> None:
    """fal tells the current status on every new stream: that alone is no reason to ask twice a second."""
    stream = LiveStream()
    same, newer = sse_answer(queued(3)), sse_answer(queued(2))
    world.fal.script(STREAM, same, same, same, same, newer, newer, stream)
    world.sleep.free = True
    world.engine.hub.interest.tell("job-1", watched=True)
    await until(lambda: stream.opened)
    for pause, most in zip(world.reopenings, (0.5, 1, 2, 4, 0.5, 1), strict=True):
        assert most / 2 <= pause <= most


async def test_a_stream_that_breaks_in_the_middle_loses_no_state(world: World) -> None:
    """What was told before is written, and the next stream goes on."""
    stream, second = await world.live(), LiveStream()
    world.fal.script(STREAM, second)
    stream.tell(running("a"))
    stream.end(httpx.ReadError("cut"))
    world.sleep.free = True
    await until(lambda: world.sleep.pauses)
    world.sleep.wake()
    await until(lambda: second.opened)
    second.tell(running("a", "b"))
    await until(lambda: len(world.bus.states) == 2)
    assert [line["message"] for line in world.bus.states[-1]["progress"]["logs"]] == ["a", "b"]


async def test_a_store_outage_at_the_start_is_waited_out(world: World) -> None:
    """The job cannot be read: it is tried again after a pause."""
    stream = LiveStream()
    world.fal.script(STREAM, stream)
    world.outage.down = True
    world.engine.hub.interest.tell("job-1", watched=True)
    await until(lambda: world.sleep.pauses)
    assert world.opened == 0
    world.outage.down = False
    world.sleep.wake()
    await until(lambda: stream.opened)


async def test_a_store_outage_in_the_middle_loses_no_log_line(world: World) -> None:
    """fal tells each line once a stream: what could not be written is written with the next."""
    stream = await world.live()
    world.outage.down = True
    stream.tell(running("a"))
    await until(lambda: len(world.sleep.pauses) == 1)
    world.sleep.wake()
    await until(lambda: len(world.sleep.pauses) == 2)
    stream.tell(running("b"))
    await until(lambda: stream.idle)
    world.outage.down = False
    world.sleep.wake()
    await until(lambda: world.bus.states)
    assert [line["message"] for line in world.bus.states[0]["progress"]["logs"]] == ["a", "b"]
    assert world.sleep.pauses[:2] == [0.4, 0.8]
    assert world.opened == 1


async def test_an_outage_does_not_keep_it_alive_without_watchers(world: World) -> None:
    """The write that failed is not repeated for nobody (the fixture looks)."""
    stream = await world.live()
    world.outage.down = True
    stream.tell(running("a"))
    await until(lambda: world.sleep.pauses)
    world.engine.hub.interest.tell("job-1", watched=False)
    await until(lambda: stream.closed)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("path", [STREAM, STATUS])
async def test_a_refused_key_ends_the_following(world: World, path: str, status: int) -> None:
    """The job goes on; its webhook ends it."""
    world.fal.script(path, httpx.Response(status, json={"detail": "no"}))
    before = tasks_of_the_server()
    world.engine.hub.interest.tell("job-1", watched=True)
    await until(lambda: world.fal.asked(path))
    await until(lambda: tasks_of_the_server() <= before)
    assert world.sleep.pauses == []
    assert world.bus.states == []


NO_STREAM = [
    *(httpx.Response(status, json={"detail": "no"}) for status in (307, 400, 404, 405, 406, 410, 501)),
    httpx.Response(200, json={"status": "IN_PROGRESS"}),
    httpx.Response(200, headers={"content-type": "text/event-stream"}),
]


@pytest.mark.parametrize("answer", NO_STREAM)
async def test_where_there_is_no_stream_the_status_is_polled(world: World, answer: httpx.Response) -> None:
    """At a pace that grows from three to ten seconds, as long as somebody watches."""
    positions = [httpx.Response(202, json=queued(position)) for position in (9, 8, 7, 7, 7, 7)]
    world.fal.script(STREAM, answer)
    world.fal.script(STATUS, *positions)
    world.sleep.free = True
    world.engine.hub.interest.tell("job-1", watched=True)
    await until(lambda: len(world.fal.asked(STATUS)) >= 6)
    assert [state["progress"]["queuePosition"] for state in world.bus.states] == [9, 8, 7]
    polls = world.reopenings[:5]
    for pause, most in zip(polls, (3, 3, 3, 6, 10), strict=True):
        assert most / 2 <= pause <= most
    if answer.headers.get("content-type") != "text/event-stream":
        assert world.opened == 1


async def test_while_a_proxy_holds_the_stream_back_the_status_is_polled(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is open, and silent."""
    monkeypatch.setattr(follower, "FIRST_SECONDS", 0.01)
    world.fal.script(STREAM, LiveStream())
    world.fal.script(STATUS, httpx.Response(202, json=queued(7)))
    world.sleep.free = True
    world.engine.hub.interest.tell("job-1", watched=True)
    await until(lambda: world.bus.states)
    assert world.bus.states[0]["progress"]["queuePosition"] == 7


async def test_a_stream_that_was_refused_is_tried_again_later(world: World) -> None:
    """fal may not have known the request yet."""
    stream = LiveStream()
    world.fal.script(STREAM, httpx.Response(404), stream)
    world.fal.script(STATUS, httpx.Response(202, json=queued(1)))
    world.sleep.free = True
    world.engine.hub.interest.tell("job-1", watched=True)
    await until(lambda: stream.opened)
    assert len(world.fal.asked(STATUS)) == 10


async def test_a_job_that_fal_does_not_know_fails_after_a_minute(world: World) -> None:
    """Not at once: a request that was just taken may not be visible yet."""
    world.fal.script(STREAM, httpx.Response(404))
    world.fal.script(STATUS, httpx.Response(404, json={"detail": "Request not found"}))
    world.sleep.free = True
    world.engine.hub.interest.tell("job-1", watched=True)
    await until(lambda: len(world.fal.asked(STATUS)) > 5)
    assert world.bus.states == []
    world.now += timedelta(seconds=60)
    await until(lambda: world.bus.states)
    assert world.bus.states[-1]["status"] == "failed"
    assert world.bus.states[-1]["error"].startswith("fal does not know this request.")
    assert ENDPOINT in world.bus.states[-1]["error"]


async def test_a_job_that_is_gone_after_our_cancel_was_cancelled(world: World) -> None:
    """404 says so only then."""
    assert (await world.report(CancelRequested())).progress.phase is Phase.CANCELLING
    world.fal.script(STREAM, httpx.Response(404))
    world.fal.script(STATUS, httpx.Response(404))
    world.engine.hub.interest.tell("job-1", watched=True)
    await until(lambda: world.bus.states[-1]["status"] == JobStatus.CANCELLED)


async def test_past_the_bound_the_status_is_polled(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every three seconds, with the same states as a result."""
    monkeypatch.setattr(world.follower, "_streams", asyncio.Semaphore(0))
    world.fal.script(STATUS, httpx.Response(202, json={"status": "IN_QUEUE", "queue_position": 7}))
    world.sleep.free = True
    world.engine.hub.interest.tell("job-1", watched=True)
    await until(lambda: world.bus.states)
    assert world.bus.states[0]["progress"]["queuePosition"] == 7
    await until(lambda: any(1.5 <= pause <= 3.0 for pause in world.sleep.pauses))
    assert world.opened == 0
    world.engine.hub.interest.tell("job-1", watched=False)
    world.sleep.wake()


async def test_while_the_stream_does_not_work_the_status_is_polled(world: World) -> None:
    """A proxy may not let streams through."""
    world.fal.script(STREAM, httpx.ConnectError("cut"))
    world.fal.script(STATUS, httpx.Response(202, json={"status": "IN_PROGRESS"}))
    world.sleep.free = True
    world.engine.hub.interest.tell("job-1", watched=True)
    await until(lambda: world.bus.states)
    assert world.bus.states[0]["progress"]["phase"] == "running"
    await until(lambda: any(1.5 <= pause <= 3.0 for pause in world.sleep.pauses))
    world.engine.hub.interest.tell("job-1", watched=False)
    world.sleep.wake()
