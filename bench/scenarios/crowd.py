"""20,000 streams on one node: `hookcast serve --workers 2` with PostgreSQL and Redis.

A process may have 20,000 open files on many systems, so a node of that size is two workers, and the load generator two
processes. All of them share the machine's cores: CPU times tell more than rates.
"""

import contextlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.catalog import Peer, as_served
from bench.kernel import caches, stream_kib
from bench.load import Figures, Load
from bench.process import CORES, Server
from bench.requests import read_moments, send
from bench.scenarios.storm import access, names_of, seed, streams_of
from bench.scenarios.webhooks import serving
from bench.scenarios.workers import wait_for_workers
from bench.services import POSTGRESQL, databases
from bench.signing import webhook
from support.redis import running_redis

WORKERS = 2
PARTS = ("a", "b")  # a process of the load generator each
RATE, WEBHOOK_SECONDS = 200, 5  # webhooks a second
ARRIVE_SECONDS = 10
WARM = 100


def crowd(peer: Peer, streams: int, idle_seconds: float) -> Figures:
    """Measure `streams` streams, each with a job and a token of its own: opening, memory, silence, and webhooks."""
    share = streams // len(PARTS)
    tokens = peer.authorises
    with _node(peer) as server, tempfile.TemporaryDirectory(prefix="hookcast-bench-") as folder:
        for name, number in (("warm", WARM), *((part, share) for part in PARTS)):
            seed(server, name, number)
        with streams_of(server, "warm", WARM, tokens=tokens) as load:
            load.phase("connected")
        start, before, cpu = server.pss_kib(), caches(), server.cpu_seconds()
        with _crowd(server, share, Path(folder)) as loads:
            opened = [load.phase("connected") for load in loads]
            found = _opened(opened, streams)
            found["cpu_us"] = (server.cpu_seconds() - cpu) / streams * 1e6
            found["kib"] = (server.pss_kib() - start) / streams
            if before:
                found["kernel_kib"] = stream_kib(before, caches(), streams)
            found |= _silent(server, streams, idle_seconds)
            return found | _webhooks(server, loads, Path(folder))


@contextlib.contextmanager
def _node(peer: Peer) -> Iterator[Server]:
    with running_redis() as redis, databases(POSTGRESQL) as database:
        variables = {"HOOKCAST_REDIS_URL": redis.url, **access(tokens=peer.authorises)}
        with serving(as_served(peer, "--workers", str(WORKERS)), database, CORES, variables) as server:
            wait_for_workers(server, WORKERS)
            yield server


@contextlib.contextmanager
def _crowd(server: Server, share: int, folder: Path) -> Iterator[Sequence[Load]]:
    with contextlib.ExitStack() as stack:
        options = [("--hold", "--moments", str(folder / part)) for part in PARTS]
        yield [
            stack.enter_context(streams_of(server, part, share, *more, tokens=server.peer.authorises))
            for part, more in zip(PARTS, options, strict=True)
        ]


def _opened(opened: Sequence[Figures], streams: int) -> Figures:
    first, last = min(figures["begun"] for figures in opened), max(figures["ended"] for figures in opened)
    return {
        "opened": streams / (last - first) * 1e9,
        "opening_p99_ms": max(figures["p99_us"] for figures in opened) / 1000,
        "opening_bytes": sum(figures["bytes"] for figures in opened) / streams,
    }


def _silent(server: Server, streams: int, seconds: float) -> Figures:
    """Return the CPU that a stream takes in a second without states: pings, and its share of what the node does."""
    cpu = server.cpu_seconds()
    time.sleep(seconds)
    return {"idle_us": (server.cpu_seconds() - cpu) / streams / seconds * 1e6}


def _webhooks(server: Server, loads: Sequence[Load], folder: Path) -> Figures:
    """Return the latencies of webhooks among all the streams: each ends the job of one of the first part."""
    number = RATE * WEBHOOK_SECONDS
    files = loads[0].open_files()
    due = folder / "due"
    send(server, [webhook(job) for job in names_of(PARTS[0], number)], "--rate", RATE, moments=due)
    loads[0].wait_until_open(files - number, ARRIVE_SECONDS)
    for load in loads:
        load.go_on()
        load.phase("left")
    seen = read_moments(folder / PARTS[0])[:number]
    times = sorted((read - sent) / 1e6 for sent, read in zip(read_moments(due), seen, strict=True))
    return {
        "webhook_p50_ms": times[len(times) // 2],
        "webhook_p99_ms": times[int(len(times) * 0.99)],
        "lost": sum(took < 0 for took in times),
    }
