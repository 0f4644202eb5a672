"""Jobs whose webhook never came: asked for at fal, on a clock of the test's own."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from hookcast.bus import LocalBus
from hookcast.consequences import Kind
from hookcast.dispatcher import Dispatcher
from hookcast.errors import FalUnreachable
from hookcast.jobs import (
    CancelRequested,
    EndedBy,
    Finished,
    Job,
    JobStatus,
    Phase,
    Progressed,
    Registered,
    unseen,
)
from hookcast.store import open_store
from hookcast.transitions import advance
from hookcast.upkeep.reconciler import ASKS_A_LOOK, Reconciler
from support.fal import ENDPOINT, FalDouble
from support.reconciled import LIMIT, NOW, World, opened_world

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(database_url: str, fal: FalDouble) -> AsyncIterator[World]:
    """A world of one node."""
    async with opened_world(database_url, fal) as opened:
        yield opened


def says(fal: FalDouble, status: str, **more: object) -> None:
    """What fal's status answers from now on."""
    fal.script("/status", httpx.Response(202 if status != "COMPLETED" else 200, json={"status": status, **more}))


async def test_a_lost_webhook_is_healed_though_nobody_watches(world: World) -> None:
    """fal says COMPLETED: the result is fetched."""
    await world.register("job-1")
    says(world.fal, "COMPLETED")
    world.fal.script("/requests/job-1", httpx.Response(200, json={"ok": True}))
    assert await world.look(timedelta(seconds=50)) == 1
    job = await world.ended("job-1")
    assert (job.status, bytes(job.result or b"")) == (JobStatus.COMPLETED, b'{"ok":true}')
    assert job.ended_by is EndedBy.ASKED


async def test_a_job_is_not_asked_about_before_it_is_due(world: World) -> None:
    """Nor again right after it was asked about."""
    await world.register("job-1")
    says(world.fal, "IN_PROGRESS")
    assert await world.look(timedelta(seconds=20)) == 0
    assert await world.look(timedelta(seconds=30)) == 1
    assert await world.look(timedelta(seconds=30)) == 0
    assert len(world.fal.asked("/status")) == 1


async def test_what_fal_says_of_an_unwatched_job_becomes_its_state(world: World) -> None:
    await world.register("job-1")
    says(world.fal, "IN_QUEUE", queue_position=12000)
    await world.look(timedelta(seconds=50))
    assert (await world.job("job-1")).progress.queue_position == 12000


async def test_a_long_log_without_timestamps_is_one_version_however_often_it_is_read(world: World) -> None:
    """Only new lines make a new one."""
    await world.register("job-1")
    lines = [{"message": f"line {number}"} for number in range(120)]
    versions = []
    for count in (120, 120, 120, 121):
        says(world.fal, "IN_PROGRESS", logs=[*lines, {"message": "line 0"}][:count])
        await world.look(timedelta(seconds=50))
        await world.store.leases.release(["ask:job-1"], "one")
        versions.append((await world.job("job-1")).version)
    assert versions == [2, 2, 2, 3]
    assert [line.message for line in (await world.job("job-1")).progress.logs][-2:] == ["line 119", "line 0"]


async def test_two_nodes_ask_once(world: World, database_url: str) -> None:
    """The lease is in the database."""
    says(world.fal, "IN_PROGRESS")
    for number in range(5):
        await world.register(f"job-{number}")
    async with opened_world(database_url, world.fal, node="two") as other:
        asked = await asyncio.gather(world.look(timedelta(seconds=50)), other.look(timedelta(seconds=50)))
    assert sum(asked) == 5
    assert len(world.fal.asked("/status")) == 5


async def test_no_more_than_the_cap_are_asked_about_at_a_time(world: World) -> None:
    says(world.fal, "IN_PROGRESS")
    for number in range(ASKS_A_LOOK + 5):
        await world.register(f"job-{number}")
    assert await world.look(timedelta(seconds=50)) == ASKS_A_LOOK
    assert await world.look(timedelta(0)) == 5


async def test_a_job_that_fal_does_not_finish_in_time_fails(world: World) -> None:
    await world.register("job-1")
    says(world.fal, "IN_PROGRESS")
    await world.look(LIMIT + timedelta(seconds=1))
    job = await world.job("job-1")
    assert (job.status, job.error) == (JobStatus.FAILED, "fal did not finish this job within 60 minutes.")
    assert job.ended_by is EndedBy.TIMEOUT


@pytest.mark.parametrize("late", [timedelta(seconds=1), timedelta(days=1)])
async def test_a_job_that_ended_at_the_last_moment_is_still_fetched(world: World, late: timedelta) -> None:
    """fal is asked before the time limit is applied, however long the server was away."""
    await world.register("job-1")
    says(world.fal, "COMPLETED")
    world.fal.script("/requests/job-1", httpx.Response(200, json={"ok": True}))
    await world.look(LIMIT + late)
    assert (await world.ended("job-1")).status is JobStatus.COMPLETED


async def test_a_job_whose_result_is_not_being_fetched_is_fetched(world: World) -> None:
    """Its piece of work is missing: a node of an older version has died."""
    await world.register("job-1")
    await world.store.change("job-1", saving)
    assert await world.store.work.waiting(Kind.FETCH) == 0
    world.fal.script("/requests/job-1", httpx.Response(200, json={"ok": True}))
    await world.look(timedelta(seconds=50))
    assert (await world.ended("job-1")).status is JobStatus.COMPLETED


def saving(job: Job | None) -> Job:
    """The job once fal has finished it."""
    return advance(job or unseen("job-1", now=NOW), Finished(), now=NOW)


async def test_a_job_without_endpoint_says_that_it_cannot_be_asked_for(world: World) -> None:
    """Once; and its time limit says so, too."""
    await world.register("job-1", endpoint_id=None)
    await world.look(timedelta(seconds=50))
    lines = (await world.job("job-1")).progress.logs
    assert [(line.level, "endpointId" in line.message) for line in lines] == [("WARN", True)]
    await world.store.leases.release(["ask:job-1"], "one")
    await world.look(LIMIT)
    job = await world.job("job-1")
    assert job.status is JobStatus.FAILED
    assert "endpointId" in (job.error or "")
    assert job.progress.logs == lines
    assert world.fal.requests == []


async def test_a_job_that_fal_removed_on_request_is_cancelled(world: World) -> None:
    """404 after a cancel; without one the job stays pending."""
    await world.register("job-1")
    await world.register("job-2")
    await world.dispatcher.apply("job-1", CancelRequested())
    await world.look(timedelta(seconds=50))
    statuses = [(await world.job(name)).status for name in ("job-1", "job-2")]
    assert statuses == [JobStatus.CANCELLED, JobStatus.PENDING]


async def test_a_fal_that_is_down_makes_the_reconciler_pause(world: World) -> None:
    """The error is told to `run`, and the jobs come again."""
    await world.register("job-1")
    world.fal.down = True
    with pytest.raises(FalUnreachable):
        await world.look(timedelta(seconds=50))
    assert (await world.job("job-1")).status is JobStatus.PENDING


@pytest.mark.parametrize("code", [404, 410, 422])
async def test_a_job_that_fal_does_not_know_fails_after_several_looks(world: World, code: int) -> None:
    """Over at least a minute; it is asked about again sooner than others."""
    await world.register("job-1")
    world.fal.script("/status", httpx.Response(code, json={"detail": "Request not found"}))
    for after in (50, 1, 1):
        await world.look(timedelta(seconds=after))
        await world.store.leases.release(["ask:job-1"], "one")
    assert (await world.job("job-1")).status is JobStatus.PENDING
    await world.look(timedelta(seconds=60))
    job = await world.job("job-1")
    assert (job.status, (job.error or "").split(".")[0]) == (JobStatus.FAILED, "fal does not know this request")


async def test_a_404_in_between_is_forgotten(world: World) -> None:
    """Only 404s in a row count."""
    await world.register("job-1")
    unknown, known = httpx.Response(404), httpx.Response(202, json={"status": "IN_PROGRESS"})
    world.fal.script("/status", unknown, unknown, known, unknown, unknown, known)
    for _ in range(6):
        await world.look(timedelta(seconds=50))
        await world.store.leases.release(["ask:job-1"], "one")
    assert (await world.job("job-1")).status is JobStatus.PENDING


async def test_a_failed_job_fails_with_fals_sentence(world: World) -> None:
    """The status has the error, the result nothing that can be read."""
    await world.register("job-1")
    says(world.fal, "COMPLETED", error="Request timed out", error_type="request_timeout")
    world.fal.script("/requests/job-1", httpx.Response(504))
    await world.look(timedelta(seconds=50))
    job = await world.ended("job-1")
    assert (job.status, job.error) == (JobStatus.FAILED, "Request timed out")


async def test_a_cancelling_job_that_fal_has_finished_ends_as_cancelled(world: World) -> None:
    """Its failure is the cancel."""
    await world.register("job-1")
    await world.dispatcher.apply("job-1", CancelRequested())
    says(world.fal, "COMPLETED", error="Request was cancelled", error_type="client_cancelled")
    world.fal.script("/requests/job-1", httpx.Response(499))
    await world.look(timedelta(seconds=50))
    assert (await world.ended("job-1")).status is JobStatus.CANCELLED


async def test_a_saving_job_has_an_end_without_a_key(database_url: str) -> None:
    """Nobody can fetch its result."""
    now = NOW
    async with open_store(database_url) as store:
        dispatcher = Dispatcher(store, LocalBus(lambda _: None), lambda: now)
        reconciler = Reconciler(
            store=store,
            dispatcher=dispatcher,
            fal=None,
            clock=lambda: now,
            node="one",
            timeout=LIMIT,
        )
        await dispatcher.apply("job-1", Registered(endpoint_id=ENDPOINT))
        await dispatcher.apply("job-1", Progressed(phase=Phase.SAVING))
        now += LIMIT + timedelta(seconds=1)
        await reconciler.look()
        job = await store.get("job-1")
    assert job is not None
    assert (job.status, "FAL_KEY" in (job.error or "")) == (JobStatus.FAILED, True)
