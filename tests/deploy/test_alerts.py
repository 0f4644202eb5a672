"""Each alarm fires when its fault is caused on a real server, and no other does."""

import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from hookcast.consequences import Kind
from hookcast.emulator import begin_shutdown, create_emulator
from support.alerts import FILE, alarms, evaluate, scrape, unanswered
from support.deploy import ROOT
from support.fal import ENDPOINT, FalDouble, sign
from support.falhost import served_app
from support.receiver import SECRET, running_receiver
from support.redis import running_redis
from support.server import Node, running_node, until
from support.telling import settled
from support.working import hurry

pytestmark = pytest.mark.anyio
PAGE = (ROOT / "docs" / "operations.md").read_text()


class World:
    """Starts a node, whose settings the fault chooses."""

    def __init__(self, stack: AsyncExitStack, database_url: str, folder: Path) -> None:
        self.stack = stack
        self.folder = folder
        self.database_url = database_url

    async def node(self, **settings: Any) -> Node:
        """Start the node, with a double as its fal unless it gets an emulator."""
        node = running_node(FalDouble(), database_url=self.database_url, **settings)
        return await self.stack.enter_async_context(node)

    async def with_emulator(self, *, speed: float, **settings: Any) -> Node:
        """Start the node with an emulated fal."""
        app = create_emulator(speed=speed)
        url = await self.stack.enter_async_context(served_app(app, lambda: begin_shutdown(app)))
        return await self.node(emulator=url, **settings)


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """All that a fault starts ends with its test."""
    async with AsyncExitStack() as stack:
        yield World(stack, database_url, tmp_path)


Fault = Callable[[], Awaitable[None]]


async def forged(world: World) -> tuple[Node, Fault]:
    """Somebody sends webhooks with a signature of their own."""
    node = await world.node()

    async def cause() -> None:
        for number in range(3):
            body = node.fal.webhook(f"job-{number}")
            assert (await node.post_webhook(body, sign(body, SigningKey.generate()))).status_code == 401

    await node.post_webhook(node.fal.webhook("job-0"))
    return node, cause


async def keys_away(world: World) -> tuple[Node, Fault]:
    """fal's keys cannot be fetched when the first webhook comes."""
    node = await world.node()

    async def cause() -> None:
        assert (await node.post_webhook(node.fal.webhook("job-1"))).status_code == 503

    node.fal.down = True
    return node, cause


async def lost(world: World) -> tuple[Node, Fault]:
    """The emulated fal sends no webhook; the job is watched, so that its end is seen all the same."""
    node = await world.with_emulator(speed=50)

    async def cause() -> None:
        taken = await emulated(node, faults=["webhook_lost"])
        async with node.events(taken["requestId"]) as events:
            assert [event.event async for event in events][-1] == "end"

    return node, cause


async def emulated(node: Node, **wishes: Any) -> dict[str, Any]:
    """Submit a job to the emulated fal."""
    body = {"endpointId": ENDPOINT, "input": {"prompt": "a cat", "_emulator": wishes}}
    taken: dict[str, Any] = (await node.client.post("/api/fal-jobs", json=body)).json()
    return taken


async def no_redis(world: World) -> tuple[Node, Fault]:
    """Redis dies."""
    server = world.stack.enter_context(running_redis())
    node = await world.node(redis_url=server.url)
    while (await node.client.get("/readyz")).json()["status"] != "ok":
        pass

    async def cause() -> None:
        server.stop()
        while (await node.client.get("/readyz")).json()["status"] == "ok":
            pass

    return node, cause


async def crowded(world: World) -> tuple[Node, Fault]:
    """Clients open all the streams there are."""
    node = await world.node(max_streams=2)

    async def cause() -> None:
        for name in ("job-1", "job-2"):
            await world.stack.enter_async_context(node.events(name))
        await until(lambda: len(node.engine.admission.streams) == 2)

    return node, cause


async def storage_away(world: World) -> tuple[Node, Fault]:
    """A file stands where the directory of kept files should be."""
    media = world.folder / "media"
    node = await world.with_emulator(speed=50, media_url=media.as_uri())

    async def cause() -> None:
        media.touch()
        await emulated(node, files=[{"content_type": "image/png", "bytes": 1000}] * 3)
        while sum(value for name, value in (await scrape(node)).items() if "storage_failed" in name) < 3:
            pass

    return node, cause


async def backend_refuses(world: World) -> tuple[Node, Fault]:
    """The route of the user's backend has a bug."""
    receiver = await world.stack.enter_async_context(running_receiver())
    receiver.decide = lambda _: 500
    node = await world.node(forward_url=receiver.url, forward_secret=SECRET)

    async def cause() -> None:
        for number in range(3):
            await node.post_webhook(node.fal.webhook(f"job-{number}"))
        while sum(value for name, value in (await scrape(node)).items() if _refusals(name)) < 3:
            pass

    return node, cause


def _refusals(series: str) -> bool:
    return "told_total" in series and "refused" in series


async def backend_not_told(world: World) -> tuple[Node, Fault]:
    """It had the bug for three days, and takes other webhooks again."""
    receiver = await world.stack.enter_async_context(running_receiver())
    node = await world.node(forward_url=receiver.url, forward_secret=SECRET)

    async def cause() -> None:
        receiver.decide = lambda told: 500 if told.event["data"]["requestId"] == "job-1" else 200
        for name in ("job-1", "job-2"):
            await node.post_webhook(node.fal.webhook(name))
        async with hurry(world.database_url, Kind.TELL, []):
            await settled(node)

    return node, cause


FAULTS = {
    "HookcastWebhooksForged": forged,
    "HookcastWebhooksFail": keys_away,
    "HookcastWebhooksLost": lost,
    "HookcastBusDown": no_redis,
    "HookcastStreamsNearLimit": crowded,
    "HookcastStorageFails": storage_away,
    "HookcastBackendRefuses": backend_refuses,
    "HookcastBackendNotTold": backend_not_told,
}

LABELS = {"HookcastWebhooksFail": {"answer": "keys_unavailable"}}


@pytest.mark.parametrize(("alarm", "fault"), FAULTS.items(), ids=FAULTS)
async def test_an_alarm_fires_when_its_fault_is_caused(
    world: World, tmp_path: Path, alarm: str, fault: Callable[[World], Awaitable[tuple[Node, Fault]]]
) -> None:
    """Not before, and no other with it."""
    node, cause = await fault(world)
    before = await scrape(node)
    await cause()
    evaluate(tmp_path, before, await scrape(node), fires={alarm: LABELS.get(alarm, {})})


async def test_a_node_that_does_not_answer_is_an_alarm(world: World, tmp_path: Path) -> None:
    """Its series end, and no alarm fires because of that."""
    node = await world.node()
    await node.post_webhook(node.fal.webhook("job-1"))
    evaluate(tmp_path, await scrape(node), unanswered(), fires={"HookcastDown": {}})


async def test_what_is_usual_fires_no_alarm(world: World, tmp_path: Path) -> None:
    """Jobs that are submitted, watched and ended by their webhooks, one of them twice; an unsigned request."""
    node = await world.node(max_streams=10)
    before = await scrape(node)
    for number in range(3):
        await node.register(f"job-{number}")
        async with node.events(f"job-{number}") as events:
            await node.post_webhook(node.fal.webhook(f"job-{number}"))
            assert [event.event async for event in events][-1] == "end"
    await node.post_webhook(node.fal.webhook("job-0"))
    await node.client.post("/api/webhooks/fal")
    evaluate(tmp_path, before, await scrape(node), fires={})


async def test_jobs_that_are_cancelled_fire_no_alarm(world: World, tmp_path: Path) -> None:
    """fal tells of them when it is asked to cancel, and no webhook is missed."""
    node = await world.with_emulator(speed=0.01)
    before = await scrape(node)
    taken = await emulated(node)
    assert (await node.client.post(taken["links"]["cancel"])).json()["status"] == "cancelled"
    after = await scrape(node)
    assert before != after
    evaluate(tmp_path, before, after, fires={})


def test_every_alarm_has_its_fault_and_is_documented() -> None:
    """On the page for operators; promtool finds no fault in the file."""
    assert alarms().keys() == {*FAULTS, "HookcastDown"}
    assert [name for name in alarms() if f"`{name}`" not in PAGE] == []
    subprocess.run(["promtool", "check", "rules", str(FILE)], check=True, capture_output=True, timeout=60)
