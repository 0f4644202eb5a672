"""Measure webhooks out: events told a second, and what telling costs the webhooks that come in.

    PYTHONPATH=tests python -m bench.telling    # three runs on each database, about two minutes

One node on one core; the backend, fal and PostgreSQL are on the other. `told/s` is the rate at which the node tells a
backlog of ended jobs to a backend that answers at once; `webhooks/s` is the rate of webhooks that each end a job, with
and without a backend to tell.
"""

import argparse
import asyncio
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from bench.catalog import Peer, Place
from bench.process import BenchError, Server, free_port, running, stay_beside
from bench.services import POSTGRESQL, SQLITE, databases, serving_keys
from bench.signing import webhook

EVENTS = 6000
SENDERS = 32
RUNS = 3
SECONDS = 120.0  # of one measurement at most
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - of the benchmark
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Backend(asyncio.Protocol):
    """Answers 200 to each request at once; notes the first and the last of them, and counts the ids."""

    times: list[float] = []  # noqa: RUF012 - of all connections
    ids: set[bytes] = set()  # noqa: RUF012

    def __init__(self) -> None:
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            size = end + 4 + int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            if len(self._data) < size:
                return
            self._data = self._data[size:]
            Backend.ids.add(head.partition(b"webhook-id: ")[2].partition(b"\r\n")[0])
            Backend.times.append(time.perf_counter())
            assert isinstance(self._transport, asyncio.Transport)
            self._transport.write(ANSWER)

    @classmethod
    def forget(cls) -> None:
        """Begin anew."""
        cls.times.clear()
        cls.ids.clear()


@contextmanager
def backend() -> Iterator[str]:
    """Run a backend in a thread, and yield its URL."""
    loop, port = asyncio.new_event_loop(), free_port()
    loop.run_until_complete(loop.create_server(Backend, "127.0.0.1", port, backlog=1024))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}/hook"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def hookcast(database: str | None, keys: str, settings: Mapping[str, str]) -> Iterator[Server]:
    """Run `hookcast serve` on its core."""

    def command(place: Place) -> list[str]:
        return [sys.executable, "-m", "hookcast", "serve", "--port", str(place.port)]

    variables = {"HOOKCAST_FAL_JWKS_URL": keys, **settings}
    if database is not None:
        variables["HOOKCAST_DATABASE_URL"] = database
    with running(Peer("hookcast", "Hookcast", command, ""), (), variables) as server:
        yield server


async def send(port: int, names: list[str]) -> float:
    """End a job with each webhook; return webhooks per second."""
    began = time.perf_counter()
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*(_send(port, names[place::SENDERS]) for place in range(SENDERS)))
    return len(names) / (time.perf_counter() - began)


async def _send(port: int, names: list[str]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for name in names:
        writer.write(webhook(name))
        await reader.readuntil(b'"accepted"}')
    writer.close()


async def tell_again(port: int) -> None:
    """Have all jobs told again."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    path = "/api/redeliver?since=2020-01-01T00:00:00Z"
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
    await reader.readuntil(b'"redelivering":')
    writer.close()


def all_told(count: int) -> float:
    """Wait until `count` jobs have been told; return how many were told a second."""
    until = time.monotonic() + SECONDS
    while len(Backend.ids) < count:
        if time.monotonic() > until:
            raise BenchError(f"only {len(Backend.ids)} of {count} events were told")
        time.sleep(0.01)
    return len(Backend.times) / (max(Backend.times) - min(Backend.times))


def run(kind: str, keys: str, url: str) -> dict[str, float]:
    """Measure once on one kind of database."""
    warm, names = [f"warm-{number}" for number in range(500)], [f"job-{number}" for number in range(EVENTS)]
    found: dict[str, float] = {}
    with databases(kind) as database, hookcast(database.url, keys, {}) as server:
        found |= end_jobs(server, warm, names, "without")
    telling = {"HOOKCAST_FORWARD_URL": url, "HOOKCAST_FORWARD_SECRET": SECRET}
    Backend.forget()
    with databases(kind) as database, hookcast(database.url, keys, telling) as server:
        found |= end_jobs(server, warm, names, "with")
        all_told(len(warm) + EVENTS)
        Backend.forget()
        asyncio.run(tell_again(server.port))
        found["told/s"] = all_told(len(warm) + EVENTS)
    found["webhooks/s, with ÷ without"] = found["webhooks/s with"] / found["webhooks/s without"]
    found["CPU, without ÷ with"] = found["µs of CPU a webhook without"] / found["µs of CPU a webhook with"]
    return found


def end_jobs(server: Server, warm: list[str], names: list[str], title: str) -> dict[str, float]:
    """End the jobs with a webhook each; return webhooks per second, and what one costs the server's processes."""
    asyncio.run(send(server.port, warm))
    before = server.cpu_seconds()
    rate = asyncio.run(send(server.port, names))
    used = server.cpu_seconds() - before
    return {f"webhooks/s {title}": rate, f"µs of CPU a webhook {title}": used / len(names) * 1e6}


def main() -> None:
    """Measure on each database in every run, and print the medians with the lowest and the highest."""
    parser = argparse.ArgumentParser(prog="bench.telling", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--database", choices=[SQLITE, POSTGRESQL], action="append", help="both by default")
    given = parser.parse_args()
    stay_beside()
    with ExitStack() as stack:
        keys, url = stack.enter_context(serving_keys()), stack.enter_context(backend())
        for kind in given.database or [SQLITE, POSTGRESQL]:
            figures: dict[str, list[float]] = {}
            for _ in range(given.runs):
                for title, value in run(kind, keys, url).items():
                    figures.setdefault(title, []).append(value)
            for title, values in figures.items():
                print(f"{kind}: {title}: {statistics.median(values):.4g} ({min(values):.4g} to {max(values):.4g})")


if __name__ == "__main__":
    main()
