"""What the collector does when the store is away, and after a restart."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from msgspec import Raw
from msgspec.structs import replace

from hookcast.consequences import Kind
from hookcast.dispatcher import Dispatcher
from hookcast.errors import NotStorable
from hookcast.jobs import Completed, JobStatus, Update
from hookcast.store import Change, open_store
from hookcast.upkeep.collector import MAX_AT_ONCE, NOT_STORABLE
from support.collected import World
from support.fakes import Outage
from support.fal import ENDPOINT, FalDouble
from support.server import running_node, until
from support.working import claim_early

pytestmark = pytest.mark.anyio

RESULT = "/requests/job-1"
GOOD = httpx.Response(200, content=b'{"seed": 12345678901234567890}')
IN_PROGRESS = httpx.Response(400, json={"detail": "Request is still in progress"})


@pytest.fixture
async def world(database_url: str, fal: FalDouble) -> AsyncIterator[World]:
    """A collector that does not run yet."""
    async with open_store(database_url) as store, httpx.AsyncClient(transport=fal) as client:
        yield World(database_url, Outage(store), client, fal)


async def test_a_webhook_that_comes_meanwhile_ends_the_attempts(world: World) -> None:
    world.fal.script(RESULT, IN_PROGRESS)
    async with world.running():
        await world.saving()
        await until(lambda: len(world.fal.requests) >= 2)
        await world.dispatcher.apply("job-1", Completed(result=Raw(b'"webhook"')))
        assert await world.outage.store.work.waiting(Kind.FETCH) == 0
    assert (await world.ended()).result == Raw(b'"webhook"')


async def test_a_job_is_fetched_once_at_a_time(world: World) -> None:
    """Webhook, follower and registration may all ask for the same one."""
    world.fal.script(RESULT, GOOD)
    async with world.running():
        await asyncio.gather(*(world.saving() for _ in range(5)))
        await world.ended()
    assert len(world.fal.requests) == 1


async def test_a_store_outage_at_an_attempt_is_waited_out(world: World) -> None:
    """When the job is read, and when its end is stored: what fal answered is fetched again."""
    world.fal.script(RESULT, GOOD)
    await world.saving()
    attempts = world.attempts()
    world.fal.gate.clear()
    first = asyncio.ensure_future(anext(attempts))
    await until(lambda: world.fal.requests)
    world.outage.down = True
    world.fal.gate.set()
    await first
    for _ in range(3):
        await anext(attempts)
    assert world.pauses == [0.0, 1.0, 2.0, 4.0]
    world.outage.down = False
    async for _ in attempts:
        pass
    assert (await world.ended()).result == Raw(GOOD.content)
    assert len(world.fal.requests) == 2


async def test_a_result_that_the_database_does_not_take_ends_the_job(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trying again would not help; it says so."""
    apply = Dispatcher.apply

    async def without_results(
        dispatcher: Dispatcher, request_id: str, update: Update, *more: Any, **named: Any
    ) -> Change:
        if isinstance(update, Completed):
            raise NotStorable("too large")
        return await apply(dispatcher, request_id, update, *more, **named)

    monkeypatch.setattr(Dispatcher, "apply", without_results)
    world.fal.script(RESULT, GOOD)
    job = await world.fetched()
    assert (job.status, job.error, len(world.fal.requests)) == (JobStatus.FAILED, NOT_STORABLE, 1)


@pytest.mark.parametrize("facts", ["", "{", "[]", "null", '{"pause": "x"}', '{"since": "yesterday"}'])
async def test_facts_that_cannot_be_read_do_not_keep_the_job_from_its_end(world: World, facts: str) -> None:
    """They count as none: another version may have written them."""
    world.fal.script(RESULT, GOOD)
    await world.saving()
    world.passed(30.0)
    [piece] = await claim_early(world.url)
    await world.collector.fetch(replace(piece, facts=facts))
    assert (await world.ended()).status is JobStatus.COMPLETED


async def test_unfinished_jobs_do_not_storm_fal_after_a_restart(world: World) -> None:
    """All are fetched, only so many at once."""
    names = [f"job-{number}" for number in range(MAX_AT_ONCE + 10)]
    for name in names:
        await world.saving(name)
    world.fal.script("", GOOD)
    world.fal.gate.clear()
    async with world.running():
        await until(lambda: len(world.fal.requests) >= MAX_AT_ONCE)
        await world.outage.store.probe()
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
