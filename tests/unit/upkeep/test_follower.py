"""The follower: how often it writes, and what ends it."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from msgspec import Raw

from hookcast.jobs import CancelRequested, Completed
from support.fakes import tasks_of_the_server
from support.fal import Answer, FalDouble, LiveStream, sse_answer
from support.followed import STATUS, STREAM, World, following, queued, running
from support.server import until

pytestmark = pytest.mark.anyio
RESULT = "/requests/job-1"


DONE: dict[str, Any] = {"status": "COMPLETED"}


@pytest.fixture
async def world(database_url: str, fal: FalDouble) -> AsyncIterator[World]:
    """A running follower whose job is registered."""
    async with following(database_url, fal) as made:
        yield made


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
