"""The collector: how it fetches results, when it gives up, and that a restart does not make it forget."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from msgspec import Raw

from hookcast.bus import LocalBus
from hookcast.dispatcher import Dispatcher
from hookcast.errors import NotStorable
from hookcast.fal.queue import FalQueue
from hookcast.jobs import Completed, EndedBy, Job, JobStatus, Phase, Progressed, Registered, Update
from hookcast.store import Change, open_store
from hookcast.upkeep.collector import MAX_AT_ONCE, NOT_STORABLE, Collector
from support.fakes import Outage, Sleeper, tasks_of_the_server
from support.fal import ENDPOINT, QUEUE, FalDouble
from support.server import running_node, until

pytestmark = pytest.mark.anyio

RESULT = "/requests/job-1"
GOOD = httpx.Response(200, content=b'{"seed": 12345678901234567890}')
IN_PROGRESS = httpx.Response(400, json={"detail": "Request is still in progress"})


class World:
    """A collector between fal's double and a store, with a clock that moves by the pauses made."""

    def __init__(self, outage: Outage, client: httpx.AsyncClient, fal: FalDouble) -> None:
        self.outage = outage
        self.fal = fal
        self.now = datetime(2026, 11, 23, tzinfo=UTC)
        self.pauses: list[float] = []
        self.resting = 0  # tasks while nothing is fetched
        self.dispatcher = Dispatcher(outage.store, LocalBus(lambda _: None), lambda: self.now)
        # The queue's own retries are another test's; here each attempt is one request.
        queue = FalQueue(client, QUEUE, "key", sleep=Sleeper(free=True))
        self.collector = Collector(outage.store, self.dispatcher, queue, clock=lambda: self.now, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += timedelta(seconds=seconds)
        await asyncio.sleep(0.001)  # the database's thread gets its turn

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The collector at work."""
        task = asyncio.ensure_future(self.collector.run())
        self.resting = tasks_of_the_server()
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def saving(self, request_id: str = "job-1") -> Job:
        """A job that fal has finished, and whose result is not here."""
        await self.dispatcher.register(request_id, Registered(endpoint_id=ENDPOINT))
        return (await self.dispatcher.apply(request_id, Progressed(phase=Phase.SAVING))).after

    async def ended(self, request_id: str = "job-1") -> Job:
        """The job at its end."""
        while True:
            job = await self.outage.store.get(request_id)
            if job is not None and job.status.terminal:
                return job
            await asyncio.sleep(0.001)


@pytest.fixture
async def world(database_url: str, fal: FalDouble) -> AsyncIterator[World]:
    """A collector that does not run yet."""
    async with open_store(database_url) as store, httpx.AsyncClient(transport=fal) as client:
        yield World(Outage(store), client, fal)


async def test_it_tries_again_until_the_result_is_there(world: World) -> None:
    """With pauses that grow to half a minute; the result is taken byte for byte."""
    world.fal.script(RESULT, *[IN_PROGRESS] * 8, GOOD)
    async with world.running():
        world.collector.fetch(await world.saving(), after=3.0)
        job = await world.ended()
    assert job.result == Raw(GOOD.content)
    assert world.pauses == [3.0, 6.0, 12.0, 24.0, 30.0, 30.0, 30.0, 30.0, 30.0]


@pytest.mark.parametrize("answer", [httpx.Response(code) for code in (301, 401, 403, 404, 408)])
async def test_what_is_not_the_jobs_outcome_does_not_fail_the_job(world: World, answer: httpx.Response) -> None:
    """A wrong key, a missing result or a redirect may be mended within the hour."""
    world.fal.script(RESULT, answer, GOOD)
    async with world.running():
        world.collector.fetch(await world.saving())
        assert (await world.ended()).status is JobStatus.COMPLETED


async def test_the_models_own_error_fails_the_job_at_once(world: World) -> None:
    """In its own words, with fal's body beside it."""
    detail = {"detail": [{"loc": ["body", "prompt"], "msg": "Field required", "type": "missing"}]}
    world.fal.script(RESULT, httpx.Response(422, json=detail))
    async with world.running():
        world.collector.fetch(await world.saving())
        job = await world.ended()
    assert (job.status, job.error, job.ended_by) == (JobStatus.FAILED, "prompt: Field required", EndedBy.ASKED)
    assert len(world.fal.requests) == 1


async def test_it_gives_up_after_an_hour(world: World) -> None:
    """fal keeps results no longer: the job fails with what to do, and is asked for no more."""
    world.fal.script(RESULT, httpx.Response(404, json={"detail": "Not found"}))
    began = world.now
    async with world.running():
        world.collector.fetch(await world.saving())
        job = await world.ended()
        asked = len(world.fal.requests)
        world.collector.fetch(job)
    assert (job.status, job.ended_by, len(world.fal.requests)) == (JobStatus.FAILED, EndedBy.TIMEOUT, asked)
    assert job.error is not None
    assert "Submit the job again" in job.error
    assert timedelta(hours=1) < world.now - began < timedelta(hours=1, minutes=1)


async def test_a_webhook_that_comes_meanwhile_ends_the_attempts(world: World) -> None:
    """Its outcome stays."""
    world.fal.script(RESULT, IN_PROGRESS)
    async with world.running():
        world.collector.fetch(await world.saving())
        await until(lambda: len(world.fal.requests) >= 2)
        await world.dispatcher.apply("job-1", Completed(result=Raw(b'"webhook"')))
        await until(lambda: tasks_of_the_server() <= world.resting)
        assert (await world.ended()).result == Raw(b'"webhook"')


async def test_a_job_is_fetched_once_at_a_time(world: World) -> None:
    """Webhook, follower and registration may all ask for the same one."""
    world.fal.script(RESULT, GOOD)
    async with world.running():
        job = await world.saving()
        for _ in range(5):
            world.collector.fetch(job)
        await world.ended()
        await until(lambda: tasks_of_the_server() <= world.resting)
    assert len(world.fal.requests) == 1


async def test_a_store_outage_at_the_start_is_waited_out(world: World) -> None:
    """At the start, when the unfinished jobs are read."""
    world.fal.script(RESULT, GOOD)
    await world.saving()
    world.outage.down = True
    async with world.running():
        await until(lambda: len(world.pauses) == 4)
        assert world.pauses == [0.5, 1.0, 2.0, 4.0]
        world.outage.down = False
        assert (await world.ended()).status is JobStatus.COMPLETED


async def test_a_result_that_cannot_be_stored_is_fetched_again(world: World) -> None:
    """The store goes away while fal answers."""
    world.fal.script(RESULT, GOOD)
    world.fal.gate.clear()
    async with world.running():
        world.collector.fetch(await world.saving())
        await until(lambda: world.fal.requests)
        world.outage.down = True
        world.fal.gate.set()
        await until(lambda: len(world.pauses) == 3)
        world.outage.down = False
        assert (await world.ended()).result == Raw(GOOD.content)


async def test_a_result_that_the_database_does_not_take_ends_the_job(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trying again would not help; it says so."""
    apply = Dispatcher.apply

    async def without_results(dispatcher: Dispatcher, request_id: str, update: Update, *more: Any) -> Change:
        if isinstance(update, Completed):
            raise NotStorable("too large")
        return await apply(dispatcher, request_id, update, *more)

    monkeypatch.setattr(Dispatcher, "apply", without_results)
    world.fal.script(RESULT, GOOD)
    async with world.running():
        world.collector.fetch(await world.saving())
        job = await world.ended()
    assert (job.status, job.error, len(world.fal.requests)) == (JobStatus.FAILED, NOT_STORABLE, 1)


async def test_unfinished_jobs_do_not_storm_fal_after_a_restart(world: World) -> None:
    """All are fetched, only so many at once."""
    names = [f"job-{number}" for number in range(MAX_AT_ONCE + 10)]
    for name in names:
        await world.saving(name)
    world.fal.script("", GOOD)
    world.fal.gate.clear()
    async with world.running():
        await until(lambda: len(world.fal.requests) >= MAX_AT_ONCE)
        await asyncio.sleep(0)
        assert len(world.fal.requests) == MAX_AT_ONCE
        world.fal.gate.set()
        for name in names:
            assert (await world.ended(name)).status is JobStatus.COMPLETED
    assert len(world.fal.requests) == len(names)


async def test_a_restarted_server_fetches_what_the_stopped_one_had_not(database_url: str, fal: FalDouble) -> None:
    """The webhook had been acknowledged, so fal will not tell again."""
    fal.script(RESULT, httpx.Response(404))
    async with running_node(fal, database_url=database_url) as first:
        await first.register("job-1", endpointId=ENDPOINT)
        await first.post_webhook(fal.webhook("job-1", payload=None, payload_error="not serializable"))
        await until(lambda: fal.asked(RESULT))
        assert (await first.client.get("/api/fal-jobs/job-1")).json()["progress"]["phase"] == "saving"
    fal.script(RESULT, GOOD)
    async with running_node(fal, database_url=database_url) as second:
        answer = await second.client.get("/api/fal-jobs/job-1?wait=20&version=2")
    assert answer.json()["status"] == "completed"
    assert "12345678901234567890" in answer.text
