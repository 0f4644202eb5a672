"""Measure webhook latency without and beside thousands of slow clients that send one byte a second.

    python -m bench.slowloris                     # 5,000 slow clients, ten runs of each kind

A third of them never finishes a request head, a third a body, a third a WebSocket message. The server disconnects
them; each reconnects at once. They run in a process of their own, on the load's core.
"""

import argparse
import asyncio
import contextlib
import random
import resource
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from bench.latency import one_run, serve_keys, serving
from bench.process import LOAD_CORE, free_port, go_first

CLIENTS = 5000
RUNS = 10
TURNS = 100  # slices of a second, each with its share of the clients
START_SECONDS = 60
WARM_SECONDS = (
    35  # until the server disconnects the first of two kinds, so that disconnecting is part of the measurement
)
UPGRADE = (
    b"GET /api/fal-jobs/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
BEGINNINGS = (
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    b"POST /api/webhooks/fal HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\nX-Fal-Webhook-Request-Id: r\r\n"
    b"X-Fal-Webhook-User-Id: u\r\nX-Fal-Webhook-Timestamp: @now\r\nX-Fal-Webhook-Signature: %b\r\n\r\n" % (b"ab" * 64),
    UPGRADE,
)
LONG_FRAME = b"\x81\xfe\x80\x00mask"  # a masked text frame of 32 KiB


@dataclass
class Slow:
    """One slow client."""

    port: int
    beginning: bytes
    connection: socket.socket | None = None
    cuts: int = -1

    def turn(self) -> None:
        """Send a byte; connect when there is no connection, or it is closed."""
        try:
            if self.connection is None:
                self._connect()
                return
            with contextlib.suppress(BlockingIOError):
                if not (answer := self.connection.recv(4096)):
                    raise ConnectionError
                if b" 101 " in answer:
                    self.connection.send(LONG_FRAME)
            self.connection.send(b"x")
        except OSError:
            if self.connection is not None:
                self.connection.close()
            self.connection = None
            self._connect()

    def _connect(self) -> None:
        self.cuts += 1
        self.connection = socket.create_connection(("127.0.0.1", self.port), timeout=START_SECONDS)
        self.connection.send(self.beginning.replace(b"@now", b"%d" % time.time()))
        self.connection.setblocking(False)


def be_slow(port: int, count: int) -> None:
    """Run the slow clients in their own process; print second and total disconnects so far, every second."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    clients = [Slow(port, BEGINNINGS[number % len(BEGINNINGS)]) for number in range(count)]
    random.shuffle(clients)
    due = time.monotonic()
    for second in range(10**9):
        for turn in range(TURNS):
            for client in clients[turn::TURNS]:
                client.turn()
            due = max(due + 1 / TURNS, time.monotonic())
            time.sleep(max(due - time.monotonic(), 0))
        print(second, sum(client.cuts for client in clients), flush=True)


@contextlib.asynccontextmanager
async def slow_clients(port: int, count: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start the slow clients, wait until the server disconnects the first, and end them with the block."""
    command = ["taskset", "-c", str(LOAD_CORE), sys.executable, "-m", "bench.slowloris"]
    process = await asyncio.create_subprocess_exec(
        *command, "--clients", str(count), "--port", str(port), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_SECONDS + WARM_SECONDS):
            while int((await process.stdout.readline()).split()[0]) < WARM_SECONDS:
                pass
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def measure(port: int, kind: str, runs: int) -> float:
    """Print one line per run, and return the p99 of all runs' jobs, in milliseconds."""
    times: list[float] = []
    for run in range(runs):
        found = sorted(await one_run(port, f"{kind}{run}", 0.01))
        print(f"{kind} run {run + 1}: {_figures(found)}", file=sys.stderr)
        times += found
    times.sort()
    print(f"{kind}: {_figures(times)}  of {len(times)} webhooks", flush=True)
    return times[int(len(times) * 0.99) - 1]


def _figures(times: list[float]) -> str:
    p99 = times[int(len(times) * 0.99) - 1]
    return f"p50 {statistics.median(times):.2f} ms  p99 {p99:.2f} ms  max {times[-1]:.2f} ms"


async def main(count: int, runs: int) -> None:
    """Measure without, beside and again without slow clients, on one server."""
    keys = await asyncio.start_server(serve_keys, "127.0.0.1", 0)
    port = free_port()
    async with keys, serving(port, f"http://127.0.0.1:{keys.sockets[0].getsockname()[1]}/"):
        before = await measure(port, "without", runs)
        async with slow_clients(port, count) as process:
            beside = await measure(port, "beside", runs)
            process.terminate()
            assert process.stdout is not None
            lines = (await process.stdout.read()).splitlines()
            seconds, cuts = map(int, lines[-1].split()) if lines else (0, 0)
            print(f"the server cut {cuts} of them in {seconds} s")
        after = await measure(port, "again", runs)
    print(f"p99 beside / without: {beside / ((before + after) / 2):.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=CLIENTS, help="slow clients")
    parser.add_argument("--runs", type=int, default=RUNS, help="of 100 webhooks each")
    parser.add_argument("--clients", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--priority", action="store_true", help="ahead of everything else on the machine (root)")
    given = parser.parse_args()
    if given.priority:
        go_first()
    if given.clients is not None:
        be_slow(given.port, given.clients)
    else:
        asyncio.run(main(given.count, given.runs))
