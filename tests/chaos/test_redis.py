"""Redis stopped, frozen, cut and slow."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.chaos import LONG, Chaos, sized, spread
from support.falhost import running_falhost
from support.ports import quiet_port
from support.proxy import Proxy, running_proxy
from support.redis import Redis
from support.sender import Outcome, Sender, outcomes, verify
from support.served import Served, running_served
from support.watchers import Ledger, Watcher, Watching, watching

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(sized(50, 400))]
DEADLINE = sized(40, 360)
RATE = 200
CALM_SECONDS = sized(0.2, 5.0)
FAULTS = {"stopped": sized(2.0, 30.0), "frozen": sized(0.5, 30.0), "cut": sized(0.2, 30.0), "slow": sized(0.5, 30.0)}
RECOVERY_SECONDS = sized(0.5, 3.0)  # about; the load is so long
WEBHOOKS = round(RATE * (sum(FAULTS.values()) + len(FAULTS) * (2 * CALM_SECONDS + RECOVERY_SECONDS)))
NAMES_A_STREAM = 100
OPENED_AHEAD = sized(4, 20)  # streams; some are opened during each fault
LATEST_SECONDS = 2.0


class _Trouble:
    """What is done to Redis, one after the other; `now` names the phase."""

    def __init__(self, chaos: Chaos, nodes: list[Served], redis: Redis, proxy: Proxy) -> None:
        self.now = "calm"
        self.phases: dict[str, str] = {}  # of each webhook: the one in which it was sent
        self._chaos = chaos
        self._nodes = nodes
        self._redis = redis
        self._proxy = proxy

    async def run(self) -> None:
        """All faults, in any order."""
        faults = list(FAULTS)
        self._chaos.random.shuffle(faults)
        for fault in faults:
            await asyncio.sleep(CALM_SECONDS)
            self.now = fault
            self._begin(fault)
            await asyncio.sleep(FAULTS[fault])
            await self._end(fault)
            self.now = "recovery"
            for node in self._nodes:
                await node.healthy(self._chaos.web)
            self.now = "calm"
            await asyncio.sleep(CALM_SECONDS)

    def _begin(self, fault: str) -> None:
        match fault:
            case "stopped":
                self._redis.stop()
            case "frozen":
                self._redis.freeze()
            case "cut":
                self._proxy.cut()
            case _:
                self._proxy.delay = 0.5

    async def _end(self, fault: str) -> None:
        match fault:
            case "stopped":
                await asyncio.to_thread(self._redis.start)
            case "frozen":
                self._redis.thaw()
            case _:
                self._proxy.heal()


@contextmanager
def _own_redis(chaos: Chaos) -> Iterator[Redis]:
    server = Redis(quiet_port(), chaos.folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _sent(ended: list[Outcome], trouble: _Trouble, running: Watching, watchers: list[Watcher]) -> Iterator[Outcome]:
    """The webhooks; a while before each its stream is opened, and its phase is noted."""
    for number, outcome in enumerate(ended):
        if number % NAMES_A_STREAM == 0:
            first = number // NAMES_A_STREAM + OPENED_AHEAD
            running.add(watchers[first : first + 1])
        trouble.phases[outcome.name] = trouble.now
        yield outcome


async def test_whatever_happens_to_redis_costs_only_its_speed(chaos: Chaos, postgres_url: str) -> None:
    """Under load on two nodes no state is lost, none is later than 2 s, and afterwards all are fast again."""
    ended = outcomes((f"job-{number}" for number in range(WEBHOOKS)), chaos.random)
    names = [outcome.name for outcome in ended]
    with _own_redis(chaos) as redis:
        async with asyncio.timeout(DEADLINE), running_falhost(chaos.key) as fal, running_proxy(redis.port) as proxy:
            shared = {"database_url": postgres_url, "redis_url": f"redis://127.0.0.1:{proxy.port}", **fal}
            async with running_served(chaos.folder, shared, count=2) as nodes:
                ports = [node.port for node in nodes]
                ledger = Ledger()
                watchers = [
                    Watcher(names[start : start + NAMES_A_STREAM], ports, ledger, chaos.random)
                    for start in range(0, WEBHOOKS, NAMES_A_STREAM)
                ]
                trouble = _Trouble(chaos, nodes, redis, proxy)
                sender = Sender(chaos.key, ports, chaos.random, chaos.web)
                async with watching(watchers[:OPENED_AHEAD]) as running, asyncio.TaskGroup() as group:
                    group.create_task(trouble.run())
                    await sender.load(_sent(ended, trouble, running, watchers), RATE)
                    await running.ended()
                problems = await verify(chaos.web, ports, ended, ledger, versions=lambda _: 1)
    delays: dict[str, list[float]] = {phase: [] for phase in ("calm", *FAULTS, "recovery")}
    for watcher in watchers:
        for name, moment in watcher.ends.items():
            delays[trouble.phases[name]].append(moment - sender.taken[name])
    chaos.note(f"  {dict(sender.answers)}")
    for phase, times in delays.items():
        chaos.note(f"  {phase}: {spread(times)}")
    assert problems == []
    assert [line for node in nodes for line in node.complaints()] == []
    assert set(sender.answers) == {"200 accepted"}
    if LONG:
        assert max(max(times) for times in delays.values() if times) <= LATEST_SECONDS
        assert sorted(delays["calm"])[int(len(delays["calm"]) * 0.9)] < 0.1
