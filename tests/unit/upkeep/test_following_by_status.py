"""Where fal's stream does not work, the follower polls the status; what fal does not know ends there."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from hookcast.jobs import CancelRequested, JobStatus, Phase
from hookcast.upkeep import follower
from support.fal import ENDPOINT, FalDouble, LiveStream
from support.followed import STATUS, STREAM, World, following, queued
from support.server import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(database_url: str, fal: FalDouble) -> AsyncIterator[World]:
    """A running follower whose job is registered."""
    async with following(database_url, fal) as made:
        yield made


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
