"""Two nodes with PostgreSQL and Redis: what a webhook at one node costs when its watcher is at the other.

With many nodes nearly every state crosses like that. One node takes all webhooks, the other has all streams, so that
the cost of each is told apart. Webhooks without watchers come first: what they cost the other node is its own look at
what was written (`upkeep/resync`), which each node of a deployment pays for every job.
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

RATE = 500  # webhooks a second
SETTLE_SECONDS = 9  # a node looks at what was written for so long, and PostgreSQL's counters are late
ARRIVE_SECONDS = 10
WARM = 100


@dataclass(frozen=True, slots=True)
class Stand:
    """Two nodes and what they share."""

    taking: Server  # gets the webhooks
    holding: Server  # has the streams
    database: Database
    redis: Sequence[Redis]

    def counters(self) -> Figures:
        """Return what each part has used and done so far; seconds of CPU end in `_s`."""
        redis = redis_counters(self.redis)
        return {
            "taking_s": self.taking.cpu_seconds(),
            "holding_s": self.holding.cpu_seconds(),
            "database_s": self.database.cpu_seconds(),
            "redis_s": redis.pop("cpu_seconds"),
            **self.database.counters(),
            **redis,
        }


def nodes(peer: Peer, jobs: int, *, cluster: bool) -> Figures:
    """Measure `jobs` openings, webhooks without watchers, and webhooks whose watchers are at the other node."""
    with _stand(peer, cluster=cluster) as stand:
        _webhooks_alone(stand, "warm", WARM)
        idle = _idle(stand)
        alone = _webhooks_alone(stand, "alone", jobs)
        crossing = _crossing(stand, jobs)
    return {
        **{f"idle_{name}": value for name, value in idle.items()},
        **{f"alone_{name}": value for name, value in alone.items()},
        **crossing,
        "lost": crossing["lost"],
    }


@contextlib.contextmanager
def _stand(peer: Peer, *, cluster: bool) -> Iterator[Stand]:
    with contextlib.ExitStack() as stack:
        url, redis = stack.enter_context(_bus(cluster=cluster))
        database = stack.enter_context(databases(POSTGRESQL))
        variables = {
            "HOOKCAST_FAL_JWKS_URL": stack.enter_context(serving_keys()),
            "HOOKCAST_DATABASE_URL": str(database.url),
            "HOOKCAST_REDIS_URL": url,
            **access(tokens=True),
        }
        taking, holding = (stack.enter_context(running(as_served(peer), (), variables)) for _ in range(2))
        yield Stand(taking, holding, database, redis)


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
    """Return what the parts use in a second when nothing happens."""
    before = stand.counters()
    time.sleep(SETTLE_SECONDS)
    return _each(stand, before, SETTLE_SECONDS)


def _webhooks_alone(stand: Stand, name: str, jobs: int) -> Figures:
    """Return what one webhook costs while nobody watches."""
    seed(stand.taking, name, jobs)
    time.sleep(SETTLE_SECONDS)
    before = stand.counters()
    send(stand.taking, [webhook(job) for job in names_of(name, jobs)], "--rate", RATE)
    time.sleep(SETTLE_SECONDS)
    return _each(stand, before, jobs)


def _crossing(stand: Stand, jobs: int) -> Figures:
    """Return what opening a stream costs, and what a webhook and the state costs that crosses to the other node."""
    seed(stand.taking, "cross", jobs)
    time.sleep(SETTLE_SECONDS)
    messages = [webhook(job) for job in names_of("cross", jobs)]
    with tempfile.TemporaryDirectory(prefix="hookcast-bench-") as folder:
        due, seen = Path(folder) / "due", Path(folder) / "seen"
        before = stand.counters()
        with streams_of(stand.holding, "cross", jobs, "--hold", "--moments", str(seen), tokens=True) as load:
            opened = load.phase("connected")
            opening = _each(stand, before, jobs)
            time.sleep(SETTLE_SECONDS)
            before, files = stand.counters(), load.open_files()
            send(stand.taking, messages, "--rate", RATE, moments=due)
            load.wait_until_open(files - jobs, ARRIVE_SECONDS)
            time.sleep(SETTLE_SECONDS)
            crossing = _each(stand, before, jobs)
            load.go_on()
            left = load.phase("left")
        times = sorted((read - sent) / 1e6 for sent, read in zip(read_moments(due), read_moments(seen), strict=True))
    return {
        **{f"opening_{name}": value for name, value in opening.items()},
        **{f"crossing_{name}": value for name, value in crossing.items()},
        "opening_bytes": opened["bytes"] / jobs,
        "crossing_bytes": (left["bytes"] - opened["bytes"]) / jobs,
        "crossing_p50_ms": times[len(times) // 2],
        "crossing_p99_ms": times[int(len(times) * 0.99)],
        "lost": sum(took < 0 for took in times),
    }


def _each(stand: Stand, before: Figures, number: float) -> Figures:
    """Return how much each counter has grown since, divided by the number; CPU in microseconds."""
    grown = {name: (value - before[name]) / number for name, value in stand.counters().items()}
    return {
        f"{name[:-2]}_us" if name.endswith("_s") else name: value * 1e6 if name.endswith("_s") else value
        for name, value in grown.items()
    }
