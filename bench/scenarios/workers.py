"""`hookcast serve --workers 2` compared to one worker, on the load of `webhooks.py`, with PostgreSQL and Redis.

Half of the subscribers are on the worker that does not get the webhook, so their states go through Redis. On two cores
the workers share them with PostgreSQL, Redis and the load generator: besides webhooks/s there is the CPU time per
webhook, which shows the cost of a second worker where it has a core of its own.
"""

import statistics
import time

from bench.catalog import Peer, as_served
from bench.load import Figures
from bench.process import CORES, SERVER_CORE, START_SECONDS, BenchError, Server, cpu_seconds, rss_kib
from bench.scenarios.webhooks import Wave, rounds, serving
from bench.services import POSTGRESQL, databases, redis_counters
from support.redis import running_redis

SETTLE_SECONDS = 2  # after the start, until the workers are idle


def workers(peer: Peer, jobs: int) -> Figures:
    """Measure the same webhooks on one worker, on its own core, and on two, on all cores."""
    one, two = _measure(peer, jobs, 1), _measure(peer, jobs, 2)
    all_one, all_two = (figures["us"] + figures["database_us"] + figures["redis_us"] for figures in (one, two))
    return {
        **{f"{name}_1": value for name, value in one.items()},
        **{f"{name}_2": value for name, value in two.items()},
        "lost": one["lost"] + two["lost"],
        "speedup": two["per_second"] / one["per_second"],
        "us_ratio": two["us"] / one["us"],
        "all_ratio": all_two / all_one,
        "parent_mib": two["parent_mib"],
        "worker_mib": two["worker_mib"],
    }


def _measure(peer: Peer, jobs: int, count: int) -> Figures:
    cores = CORES if count > 1 else [SERVER_CORE]
    with (
        running_redis() as redis,
        databases(POSTGRESQL) as database,
        serving(as_served(peer, "--workers", str(count)), database, cores, {"HOOKCAST_REDIS_URL": redis.url}) as server,
    ):
        wait_for_workers(server, count)
        time.sleep(SETTLE_SECONDS)
        parent, *children = [rss_kib(pid) / 1024 for pid in server.pids()]
        rounds(server, database, "warm", 100, [Wave("warm", 0, 100)])
        before, redis_before = [cpu_seconds([pid]) for pid in server.pids()], redis_counters([redis])["cpu_seconds"]
        figures = rounds(server, database, "m", jobs, [Wave("most", 0, jobs)])
        each = [cpu_seconds([pid]) - used for pid, used in zip(server.pids(), before, strict=True)]
        redis_us = (redis_counters([redis])["cpu_seconds"] - redis_before) / jobs * 1e6
    return {
        "lost": figures["lost"],
        "per_second": figures["most_per_second"],
        "us": figures["most_us"],
        "database_us": figures["most_database_us"],
        "redis_us": redis_us,
        "busiest_percent": max(each) / sum(each) * 100,
        "cores": figures["most_cores"],
        "parent_mib": parent,
        "worker_mib": statistics.mean(children or [parent]),
    }


def wait_for_workers(server: Server, count: int) -> None:
    """Wait until so many workers serve. Raises BenchError."""
    until = time.monotonic() + START_SECONDS
    while server.output.read_text().count(" serves.") < count and count > 1:
        if time.monotonic() > until:
            raise BenchError("the workers do not start")
        time.sleep(0.02)
