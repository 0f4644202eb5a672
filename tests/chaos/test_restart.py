"""Rolling restarts."""

import asyncio
from collections.abc import Iterator

import pytest

from support.chaos import Chaos, sized
from support.falhost import running_falhost
from support.redis import Redis
from support.sender import Outcome, Sender, outcomes, verify
from support.served import Served, running_served
from support.watchers import Ledger, Watcher, watching

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(sized(300, 600))]
DEADLINE = sized(280, 560)
STREAMS = sized(300, 5000)
ROUNDS = sized(1, 2)
RATE = sized(30, 50)
RATE_AFTERWARDS = 400
DRAIN_SECONDS = sized(1.0, 10.0)
BACK_SECONDS = DRAIN_SECONDS + sized(30.0, 5.0)  # the long form runs alone, and measures


async def _roll(nodes: list[Served], watchers: list[Watcher]) -> None:
    """One node after the other, as an orchestrator does it: stop, start, wait until its streams are back."""
    for node in nodes * ROUNDS:
        assert await node.stop() == 0
        await node.start()
        async with asyncio.timeout(BACK_SECONDS + 5):
            while not all(watcher.done or watcher.connected for watcher in watchers):  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_a_rolling_restart_loses_nothing(chaos: Chaos, postgres_url: str, redis_server: Redis) -> None:
    """Two nodes, full of streams and under load: every stream is back in time, no job and no state is lost."""
    ended = outcomes((f"job-{number}" for number in range(STREAMS)), chaos.random)
    async with asyncio.timeout(DEADLINE), running_falhost(chaos.key) as fal:
        shared = {"database_url": postgres_url, "redis_url": redis_server.url, "drain_seconds": DRAIN_SECONDS, **fal}
        async with running_served(chaos.folder, shared, count=2) as nodes:
            ports = [node.port for node in nodes]
            ledger = Ledger()
            watchers = [Watcher([outcome.name], ports, ledger, chaos.random) for outcome in ended]
            sender = Sender(chaos.key, ports, chaos.random, chaos.web)
            webhooks: Iterator[Outcome] = iter(ended)
            async with watching(watchers) as running:
                rolling = asyncio.ensure_future(_roll(nodes, watchers))
                await sender.load(webhooks, RATE, until=rolling.done)
                await rolling
                during = len(sender.taken)
                await sender.load(webhooks, RATE_AFTERWARDS)
                await running.ended()
            problems = await verify(chaos.web, ports, ended, ledger, versions=lambda _: 1)
    pauses = sorted(pause for watcher in watchers for pause in watcher.pauses())
    chaos.note(f"  {STREAMS} streams, {during} webhooks meanwhile, {dict(sender.answers)}")
    chaos.note(f"  {len(pauses)} breaks, the longest {pauses[-1]:.2f} s with {DRAIN_SECONDS:g} s of drain")
    assert problems == []
    assert pauses[-1] <= BACK_SECONDS
    assert len(pauses) >= STREAMS * ROUNDS // 2
    assert [line for node in nodes for line in node.complaints()] == []
