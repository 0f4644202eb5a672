"""Two nodes with PostgreSQL and Redis: what a webhook at one node costs when its watcher is at the other.

With many nodes nearly every state crosses like that. One node takes all webhooks, the other has all streams, so that
the cost of each is told apart. Each figure is what one job or stream adds to an idle deployment: microseconds of CPU
by part, transactions, rows and bytes of WAL of PostgreSQL, messages and bytes of Redis, bytes that its watcher reads.

Jobs come one by one, at the rate of one process among many: five times as fast, two of them share a transaction, and
each costs less.
"""

import contextlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.catalog import Peer, as_served
from bench.load import Figures
from bench.process import Server, running
from bench.requests import read_moments, send
from bench.scenarios.storm import access, names_of, seed, streams_of
from bench.services import POSTGRESQL, Database, databases, redis_counters, serving_keys
from bench.signing import webhook
from support.redis import Redis, running_cluster, running_redis

RATE = 100  # jobs registered, or webhooks, a second: no less than docs/growth.md plans for a process
PACE = ("--rate", RATE, "--connections", 1)  # idle ones would reach the keep-alive timeout
SETTLE_SECONDS = 9  # each node looks for so long at what was written, and PostgreSQL's counters are late
ARRIVE_SECONDS = 10
WARM = 100
NEVER = "604800"  # seconds between two looks of a node at what was written: none while this runs


@dataclass(slots=True)
class Stand:
    """Two nodes and what they share. `idle` is what the parts use in a second while nothing happens."""

    taking: Server  # gets the webhooks
    holding: Server  # has the streams
    database: Database
    redis: Sequence[Redis]
    idle: Figures

    def counters(self) -> Figures:
        """Return what each part has used and done so far, and the time; CPU in microseconds."""
        redis = redis_counters(self.redis)
        return {
            "seconds": time.monotonic(),
            "taking_us": self.taking.cpu_seconds() * 1e6,
            "holding_us": self.holding.cpu_seconds() * 1e6,
            "database_us": self.database.cpu_seconds() * 1e6,
            "redis_us": redis.pop("cpu_seconds") * 1e6,
            **self.database.counters(),
            **redis,
        }

    def since(self, before: Figures, number: float) -> Figures:
        """Return how much the counters have grown beyond an idle deployment's, divided by the number."""
        grown = {name: value - before[name] for name, value in self.counters().items()}
        seconds = grown.pop("seconds")
        return {name: (value - self.idle.get(name, 0) * seconds) / number for name, value in grown.items()}


def nodes(peer: Peer, jobs: int, *, cluster: bool = False, resync: bool = True) -> Figures:
    """Measure registered jobs, opened streams, webhooks without watchers, and those that cross to the other node.

    Without `resync` the nodes do not look at what was written, which each of them does once a second.
    """
    with _stand(peer, cluster=cluster, resync=resync) as stand:
        _alone(stand, "warm", WARM)
        stand.idle = _idle(stand)
        return {
            **{f"idle_{name}": value for name, value in stand.idle.items()},
            **_named("alone", _alone(stand, "alone", jobs)),
            **_crossing(stand, jobs),
        }


@contextlib.contextmanager
def _stand(peer: Peer, *, cluster: bool, resync: bool) -> Iterator[Stand]:
    with contextlib.ExitStack() as stack:
        url, redis = stack.enter_context(_bus(cluster=cluster))
        database = stack.enter_context(databases(POSTGRESQL))
        variables = {
            "HOOKCAST_FAL_JWKS_URL": stack.enter_context(serving_keys()),
            "HOOKCAST_DATABASE_URL": str(database.url),
            "HOOKCAST_REDIS_URL": url,
            **({} if resync else {"HOOKCAST_RESYNC_SECONDS": NEVER}),
            **access(tokens=True),
        }
        taking, holding = (stack.enter_context(running(as_served(peer), (), variables)) for _ in range(2))
        yield Stand(taking, holding, database, redis, {})


@contextlib.contextmanager
def _bus(*, cluster: bool) -> Iterator[tuple[str, Sequence[Redis]]]:
    """Run one Redis, or a cluster of three masters."""
    if cluster:
        with running_cluster() as masters:
            yield masters.url, masters.servers
    else:
        with running_redis() as server:
            yield server.url, [server]


def _idle(stand: Stand) -> Figures:
    """Return what the parts use in a second; the memory of Redis grows by itself now and then, which is no use."""
    before = stand.counters()
    time.sleep(SETTLE_SECONDS)
    found = stand.since(before, SETTLE_SECONDS)
    return found | {"memory_bytes": 0}


def _alone(stand: Stand, name: str, jobs: int) -> Figures:
    """Return what a webhook costs while nobody watches."""
    seed(stand.taking, name, jobs, connections=1, rate=RATE)
    time.sleep(SETTLE_SECONDS)
    before = stand.counters()
    send(stand.taking, [webhook(job) for job in names_of(name, jobs)], *PACE)
    time.sleep(SETTLE_SECONDS)
    return stand.since(before, jobs)


def _crossing(stand: Stand, jobs: int) -> Figures:
    """Return what a registered job, an opened stream, and a webhook with a watcher at the other node cost."""
    before = stand.counters()
    seed(stand.taking, "cross", jobs, connections=1, rate=RATE)
    time.sleep(SETTLE_SECONDS)
    found = _named("registering", stand.since(before, jobs))
    with tempfile.TemporaryDirectory(prefix="hookcast-bench-") as folder:
        due, seen = Path(folder) / "due", Path(folder) / "seen"
        before = stand.counters()
        shape = ("--opening", 1, "--hold", "--moments", str(seen))
        with streams_of(stand.holding, "cross", jobs, *shape, tokens=True) as load:
            opened, files = load.phase("connected"), load.open_files()
            time.sleep(SETTLE_SECONDS)
            found |= _named("opening", stand.since(before, jobs))
            messages, before = [webhook(job) for job in names_of("cross", jobs)], stand.counters()
            send(stand.taking, messages, *PACE, moments=due)
            load.wait_until_open(files - jobs, ARRIVE_SECONDS)
            time.sleep(SETTLE_SECONDS)
            found |= _named("crossing", stand.since(before, jobs))
            load.go_on()
            left = load.phase("left")
        times = sorted((read - sent) / 1e6 for sent, read in zip(read_moments(due), read_moments(seen), strict=True))
    return {
        **found,
        "opening_bytes": opened["bytes"] / jobs,
        "crossing_bytes": (left["bytes"] - opened["bytes"]) / jobs,
        "crossing_p50_ms": times[len(times) // 2],
        "crossing_p99_ms": times[int(len(times) * 0.99)],
        "lost": sum(took < 0 for took in times),
    }


def _named(name: str, figures: Figures) -> Figures:
    return {f"{name}_{key}": value for key, value in figures.items()}
