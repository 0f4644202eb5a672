"""Several nodes on one PostgreSQL, with Redis between them and without."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from support.access import ADMIN, SETTINGS, token
from support.fal import ENDPOINT, FalDouble
from support.redis import Redis, running_redis
from support.server import Node, running_node, until

pytestmark = pytest.mark.anyio
Nodes = tuple[Node, Node]
NEVER = 3600.0


@pytest.fixture
async def by_redis(fal: FalDouble, postgres_url: str, redis_server: Redis) -> AsyncIterator[Nodes]:
    """Two nodes that only hear of each other through Redis."""
    shared: dict[str, Any] = {"database_url": postgres_url, "redis_url": redis_server.url, "resync_seconds": NEVER}
    async with running_node(fal, **shared) as one, running_node(fal, **shared) as two:
        await _ready(one, two)
        yield one, two


async def _ready(*nodes: Node) -> None:
    for node in nodes:
        while (await node.client.get("/readyz")).json()["status"] != "ok":
            pass


async def test_a_webhook_at_one_node_reaches_the_watchers_of_the_other(by_redis: Nodes) -> None:
    """By job and by group."""
    one, two = by_redis
    await one.register("job-1", group="g")
    async with two.events("job-1") as events:
        first = await anext(events)
        await one.post_webhook(one.fal.webhook("job-1"))
        rest = [event.event async for event in events]
    assert (first.json()["version"], rest) == (1, ["job", "end"])


async def test_a_node_without_redis_finds_what_others_wrote(fal: FalDouble, postgres_url: str) -> None:
    """By looking at the database: also jobs of a group, and jobs that were not known yet."""
    shared: dict[str, Any] = {"database_url": postgres_url, "resync_seconds": 0.05}
    async with running_node(fal, **shared) as one, running_node(fal, **shared) as two:
        async with two.events("job-1") as events:
            await one.register("job-1")
            assert (await anext(events)).json()["version"] == 1
            await one.post_webhook(fal.webhook("job-1"))
            assert [event.event async for event in events] == ["job", "end"]
        async with two.client.stream("GET", "/api/fal-jobs/events?group=g") as stream:
            chunks = stream.aiter_text()
            text = await anext(chunks)
            await one.register("job-2", group="g")
            while "job-2" not in text:
                text += await anext(chunks)


async def test_a_redis_that_dies_costs_no_state(fal: FalDouble, postgres_url: str) -> None:
    """The database tells; /readyz says what is away; after its return Redis is used again."""
    with running_redis() as server:
        shared: dict[str, Any] = {"database_url": postgres_url, "redis_url": server.url, "resync_seconds": 0.05}
        async with running_node(fal, **shared) as one, running_node(fal, **shared) as two:
            await _ready(one, two)
            async with two.events("job-1") as events:
                server.stop()
                await one.post_webhook(fal.webhook("job-1"))
                assert [event.event async for event in events] == ["job", "end"]
            status = await two.client.get("/readyz")
            assert (status.status_code, status.json()["checks"]["redis"]) == (200, "unavailable")
            async with two.events("job-2") as events:  # opened without Redis
                await until(lambda: len(two.engine.hub))
                server.start()
                await _ready(one, two)
                await one.post_webhook(fal.webhook("job-2"))
                assert [event.event async for event in events] == ["job", "end"]


async def test_racing_reports_at_two_nodes_make_one_end(by_redis: Nodes) -> None:
    """Accepted once, a duplicate the other time, one version."""
    one, two = by_redis
    for number in range(20):
        name = f"job-{number}"
        answers = await asyncio.gather(
            one.post_webhook(one.fal.webhook(name)),
            two.post_webhook(two.fal.webhook(name, status="ERROR", error="late")),
            one.post_webhook(one.fal.webhook(name)),
        )
        assert sorted(answer.json()["status"] for answer in answers) == ["accepted", "duplicate", "duplicate"]
        states = [(await node.client.get(f"/api/fal-jobs/{name}")).json() for node in by_redis]
        assert states[0] == states[1]
        assert states[0]["version"] == 1


@pytest.mark.parametrize(("fields", "status"), [({"status": "ERROR", "error": "x"}, "cancelled"), ({}, "completed")])
async def test_a_webhook_at_one_node_is_faster_than_the_answer_to_a_cancel_at_the_other(
    by_redis: Nodes, fields: dict[str, str], status: str
) -> None:
    """As on one node: a failure in that moment is the cancel at work; a result is a result."""
    one, two = by_redis
    one.fal.script("/cancel", httpx.Response(202, json={"status": "CANCELLATION_REQUESTED"}))
    await one.register("job-1", endpointId=ENDPOINT)
    await two.post_webhook(two.fal.webhook("another"))  # fal's keys are known from here on
    one.fal.gate.clear()
    async with asyncio.TaskGroup() as group:
        cancel = group.create_task(one.client.post("/api/fal-jobs/job-1/cancel"))
        await until(lambda: one.fal.asked("/cancel"))
        await two.post_webhook(two.fal.webhook("job-1", **fields))
        one.fal.gate.set()
    assert (cancel.result().status_code, cancel.result().json()["status"]) == (202, status)
    for node in by_redis:
        job = (await node.client.get("/api/fal-jobs/job-1")).json()
        assert (job["status"], job["endedBy"]) == (status, "cancelled" if status == "cancelled" else "webhook")


@pytest.mark.parametrize("by", ["redis", "resync"])
async def test_what_comes_from_another_node_is_hidden_as_well(
    by: str, fal: FalDouble, postgres_url: str, redis_server: Redis
) -> None:
    """Of a group an owner sees the own jobs, whichever way the others' states come in."""
    shared: dict[str, Any] = {"database_url": postgres_url, **SETTINGS}
    shared |= {"redis_url": redis_server.url, "resync_seconds": NEVER} if by == "redis" else {"resync_seconds": 0.05}
    async with running_node(fal, **shared) as one, running_node(fal, **shared) as two:
        await _ready(one, two)
        for name, owner in (("theirs-1", "user-2"), ("mine-1", "user-1")):
            await _put(one, name, owner)
        url = f"/api/fal-jobs/events?group=g&token={token(sub='user-1')}"
        async with two.client.stream("GET", url) as stream:
            chunks = stream.aiter_text()
            text = await anext(chunks)
            for name, other in (("theirs-2", "user-2"), ("nobodys", None), ("mine-2", "user-1")):
                await _put(one, name, other)
            while "mine-2" not in text:
                text += await anext(chunks)
        assert text.count("event: job") == 2
        assert "mine-1" in text
        assert "theirs" not in text
        assert "nobodys" not in text


async def _put(node: Node, name: str, owner: str | None) -> None:
    facts = {"group": "g", "owner": owner}
    assert (await node.client.put(f"/api/fal-jobs/{name}", json=facts, headers=ADMIN)).status_code == 201
