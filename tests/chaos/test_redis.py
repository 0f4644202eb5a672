"""Redis stopped, frozen, cut and slow; and a cluster that loses its servers."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from support.chaos import Chaos, sized
from support.ports import quiet_port
from support.proxy import Proxy, running_proxy
from support.redis import Cluster, Redis, running_cluster
from support.trouble import Fault, cost_only_speed

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(sized(300, 600))]
DEADLINE = sized(280, 560)
STOPPED_SECONDS = sized(2.0, 30.0)
FROZEN_SECONDS = sized(0.5, 30.0)
CUT_SECONDS = sized(0.2, 30.0)
SLOW_SECONDS = sized(0.5, 30.0)
DELAY_SECONDS = 0.5
AWAY_SECONDS = sized(2.5, 30.0)  # a replica takes over meanwhile
CLUSTER_FAULTS = sized(1, 3)


@contextmanager
def _own_redis(chaos: Chaos) -> Iterator[Redis]:
    server = Redis(quiet_port(), chaos.folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()


async def test_whatever_happens_to_redis_costs_only_its_speed(chaos: Chaos, postgres_url: str) -> None:
    """Under load on two nodes no state is lost, none is later than 2 s, and afterwards all are fast again."""
    with _own_redis(chaos) as redis:
        async with asyncio.timeout(DEADLINE), running_proxy(redis.port) as proxy:
            shared = {"database_url": postgres_url, "redis_url": f"redis://127.0.0.1:{proxy.port}"}
            await cost_only_speed(chaos, shared, _faults(redis, proxy))


def _faults(redis: Redis, proxy: Proxy) -> dict[str, Fault]:
    async def heal() -> None:
        proxy.heal()

    async def cut() -> None:
        proxy.cut()

    async def slow() -> None:
        proxy.delay = DELAY_SECONDS

    return {
        "stopped": Fault(
            STOPPED_SECONDS, lambda: asyncio.to_thread(redis.stop), lambda: asyncio.to_thread(redis.start)
        ),
        "frozen": Fault(FROZEN_SECONDS, lambda: asyncio.to_thread(redis.freeze), lambda: asyncio.to_thread(redis.thaw)),
        "cut": Fault(CUT_SECONDS, cut, heal),
        "slow": Fault(SLOW_SECONDS, slow, heal),
    }


async def test_whatever_happens_to_a_cluster_costs_only_its_speed(chaos: Chaos, postgres_url: str) -> None:
    """Servers die and hang until others have their slots, and come back; slots are without a server for a while."""
    with running_cluster(replicas=1) as cluster:
        async with asyncio.timeout(DEADLINE):
            faults = _ClusterFaults(chaos, cluster).all()
            some = dict(chaos.random.sample(sorted(faults.items()), CLUSTER_FAULTS))
            await cost_only_speed(chaos, {"database_url": postgres_url, "redis_url": cluster.url}, some)


class _ClusterFaults:
    """Each hits one of the servers that have slots at that moment."""

    def __init__(self, chaos: Chaos, cluster: Cluster) -> None:
        self._chaos = chaos
        self._cluster = cluster
        self._hit: list[Redis] = []

    def all(self) -> dict[str, Fault]:
        """By name."""
        return {
            "primary killed": self._fault(lambda: self._choose().stop(), self._start_the_old_one),
            "primary frozen": self._fault(lambda: self._choose().freeze(), self._thaw),
            "slots away": self._fault(self._kill_with_replica, self._start),
        }

    def _fault(self, begin: Callable[[], None], end: Callable[[], None]) -> Fault:
        def ended() -> None:
            end()
            self._cluster.wait_until_whole()

        return Fault(AWAY_SECONDS, lambda: asyncio.to_thread(begin), lambda: asyncio.to_thread(ended))

    def _choose(self) -> Redis:
        self._hit = [self._chaos.random.choice(self._cluster.primaries())]
        return self._hit[0]

    def _kill_with_replica(self) -> None:
        self._hit.append(self._cluster.replica_of(self._choose()))
        for server in self._hit:
            server.stop()

    def _start(self) -> None:
        for server in self._hit:
            server.start()

    def _start_the_old_one(self) -> None:
        self._cluster.wait_for_failover(self._hit[0])
        self._start()

    def _thaw(self) -> None:
        self._cluster.wait_for_failover(self._hit[0])
        self._hit[0].thaw()
