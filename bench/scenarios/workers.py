"""`hookcast serve --workers 2` compared to one worker, on the load of `webhooks.py`, with PostgreSQL and Redis.

Half of the subscribers are on the worker that does not get the webhook, so their states go through Redis. On two cores
the workers share them with PostgreSQL, Redis and the load generator: besides webhooks/s there is the server's CPU time
per webhook, which shows the cost of a second worker where it has a core of its own.
"""

import time

from bench.catalog import Peer, as_served
from bench.load import Figures
from bench.process import CORES, SERVER_CORE, START_SECONDS, BenchError, Server, cpu_seconds
from bench.scenarios.webhooks import Wave, rounds, serving
from bench.services import POSTGRESQL, databases
from support.redis import running_redis


def workers(peer: Peer, jobs: int) -> Figures:
    """Measure the same webhooks on one worker, on its own core, and on two, on all cores."""
    found: Figures = {"lost": 0}
    for count in (1, 2):
        figures = _measure(peer, jobs, count)
        found["lost"] += figures.pop("lost")
        found |= {f"{name}_{count}": value for name, value in figures.items()}
    return {**found, "speedup": found["per_second_2"] / found["per_second_1"]}


def _measure(peer: Peer, jobs: int, count: int) -> Figures:
    serve = as_served(peer, "--workers", str(count))
    cores = CORES if count > 1 else [SERVER_CORE]
    with (
        running_redis() as redis,
        databases(POSTGRESQL) as database,
        serving(serve, database, cores, {"HOOKCAST_REDIS_URL": redis.url}) as server,
    ):
        _wait_for(server, count)
        rounds(server, database, "warm", 100, [Wave("warm", 0, 100)])
        before = [cpu_seconds([pid]) for pid in server.pids()]
        figures = rounds(server, database, "m", jobs, [Wave("most", 0, jobs)])
        each = [cpu_seconds([pid]) - used for pid, used in zip(server.pids(), before, strict=True)]
    return {
        "lost": figures["lost"],
        "per_second": figures["most_per_second"],
        "us": figures["most_us"],
        "database_us": figures["most_database_us"],
        "busiest_percent": max(each) / sum(each) * 100,
        "cores": figures["most_cores"],
    }


def _wait_for(server: Server, count: int) -> None:
    until = time.monotonic() + START_SECONDS
    while server.output.read_text().count(" serves.") < count and count > 1:
        if time.monotonic() > until:
            raise BenchError("the workers do not start")
        time.sleep(0.02)
