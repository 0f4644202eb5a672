"""Servers killed in the middle of their work."""

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from support.chaos import Chaos, sized
from support.fal import ENDPOINT
from support.falhost import running_falhost
from support.redis import Redis
from support.sender import Outcome, Sender, outcomes, verify
from support.served import Served, running_served
from support.watchers import Ledger, Watcher, watching

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(sized(300, 600))]
DEADLINE = sized(280, 560)
WEBHOOKS = sized(300, 10_000)
RATE = sized(320, 250)
LONGEST_LIFE = sized(0.8, 1.5)
LONGEST_CALM = sized(0.8, 4.0)  # between two workers' deaths
LEAST_KILLS = sized(1, 15)
LEAST_WORKERS = sized(1, 5)
SINGLE_STREAMS = sized(60, 1000)
NAMES_A_STREAM = 100
PATIENCE = sized(0.1, 1.0)


Killing = Callable[[list[Served], Sender, "asyncio.Task[None]", Random], Awaitable[int]]


async def _killing(nodes: list[Served], sender: Sender, load: "asyncio.Task[None]", random: Random) -> int:
    """Kill one node after the other while webhooks come, also before it has started; answers how many times."""
    kills = 0
    while not load.done():
        node = random.choice(nodes)
        moment = asyncio.ensure_future(asyncio.sleep(random.uniform(0.05, LONGEST_LIFE)))  # the length of a life
        await asyncio.wait((moment, load), return_when=asyncio.FIRST_COMPLETED)
        moment.cancel()
        await node.kill()
        kills += 1
        await node.spawn()
        if random.random() < 0.2:
            await asyncio.sleep(random.uniform(0.0, 0.5))
            await node.kill()
            kills += 1
            await node.spawn()
        await node.ready()
    assert sender.under_way == 0
    return kills


async def _killing_workers(nodes: list[Served], _: Sender, load: "asyncio.Task[None]", random: Random) -> int:
    """Kill one worker after the other; their parent starts them again."""
    kills = 0
    while not load.done():
        moment = asyncio.ensure_future(asyncio.sleep(random.uniform(0.05, LONGEST_CALM)))
        await asyncio.wait((moment, load), return_when=asyncio.FIRST_COMPLETED)
        moment.cancel()
        node = random.choice(nodes)
        os.kill(random.choice(node.workers()), signal.SIGKILL)
        kills += 1
        await node.worker_serves()
    return kills


async def _survive(chaos: Chaos, nodes: list[Served], killing: Killing = _killing, least: int = LEAST_KILLS) -> None:
    ports = [node.port for node in nodes]
    ended = outcomes((f"job-{number}" for number in range(WEBHOOKS)), chaos.random)
    registered = {outcome.name for outcome in ended if chaos.random.random() < 0.5}
    facts = json.dumps({"endpointId": ENDPOINT}).encode()  # without it the reconciler would have a word to say
    for name in registered:
        assert (await chaos.web.settled(ports[0], "PUT", f"/api/fal-jobs/{name}", body=facts))[0] in {200, 201}
    names = [outcome.name for outcome in ended]
    groups = [[name] for name in chaos.random.sample(names, SINGLE_STREAMS)]
    groups += [names[start : start + NAMES_A_STREAM] for start in range(0, WEBHOOKS, NAMES_A_STREAM)]
    ledger = Ledger()
    watchers = [Watcher(group, ports, ledger, chaos.random, patience=PATIENCE) for group in groups]
    sender = Sender(chaos.key, ports, chaos.random, chaos.web)
    async with watching(watchers) as running:
        load = asyncio.ensure_future(sender.load(_twice(ended, chaos.random), RATE))
        kills = await killing(nodes, sender, load, chaos.random)
        await load
        await running.ended()
    problems = await verify(chaos.web, ports, ended, ledger, versions=lambda name: 1 + (name in registered))
    visits = sum(len(watcher.visits) for watcher in watchers)
    chaos.note(
        f"  {kills} kills, {WEBHOOKS} webhooks, {dict(sender.answers)}, {visits} streams by {len(watchers)} watchers"
    )
    assert problems == []
    assert [line for node in nodes for line in node.complaints() if '"worker_died"' not in line] == []
    assert kills >= least


def _twice(ended: list[Outcome], random: Random) -> list[Outcome]:
    """At least once, as fal promises: some webhooks come again, later."""
    again = random.sample(ended, len(ended) // 10)
    return ended + again


async def test_a_killed_server_loses_no_webhook(chaos: Chaos) -> None:
    """Each job ends once and right, and every watcher that comes back has its end; one node on SQLite."""
    async with asyncio.timeout(DEADLINE), running_falhost(chaos.key) as fal:
        database = f"sqlite:///{chaos.folder / 'hookcast.db'}"
        async with running_served(chaos.folder, {"database_url": database, **fal}) as nodes:
            await _survive(chaos, nodes)


async def test_killed_nodes_lose_no_webhook(chaos: Chaos, postgres_url: str, redis_server: Redis) -> None:
    """The same with two nodes on PostgreSQL, with Redis between them, killed in turns."""
    async with asyncio.timeout(DEADLINE), running_falhost(chaos.key) as fal:
        shared = {"database_url": postgres_url, "redis_url": redis_server.url, **fal}
        async with running_served(chaos.folder, shared, count=2) as nodes:
            await _survive(chaos, nodes)


async def test_killed_workers_lose_no_webhook(chaos: Chaos, postgres_url: str, redis_server: Redis) -> None:
    """The same with one node of two workers on one port: the parent lives on, and starts again what dies."""
    async with asyncio.timeout(DEADLINE), running_falhost(chaos.key) as fal:
        shared = {"database_url": postgres_url, "redis_url": redis_server.url, **fal}
        async with running_served(chaos.folder, shared, workers=2) as nodes:
            await _survive(chaos, nodes, _killing_workers, LEAST_WORKERS)
