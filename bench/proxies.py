"""Measure streams through Debian's nginx, haproxy and caddy, configured as in docs/operations.md.

Delay: from the request that changes a job until its state is read, directly and through each proxy (TLS, HTTP/1.1).
Idle: streams over HTTP/1.1 and HTTP/2 and a WebSocket through each proxy, all at once, with the default heartbeat and
the page's timeouts; after the wait one state must reach them all.
"""

import argparse
import asyncio
import json
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

from support.certificates import make_certificate
from support.clients import Seeing, curl
from support.fal import FalDouble
from support.proxies import KINDS, Proxy, running_proxy
from support.serving import Served, served
from support.sockets import Socket, python_socket

STATES = 200
GAP = 0.01
PATIENCE = 10.0


class Stream:
    """A raw SSE stream of one group."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def state(self) -> float:
        """Read the next state, and return the time of that."""
        while b"event: job" not in await self._reader.readuntil(b"\n\n"):
            pass
        return time.perf_counter()

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


async def watch(url: str, group: str, trust: ssl.SSLContext | None = None) -> Stream:
    """Open a stream, directly or through a proxy."""
    port = int(url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
    writer.write(f"GET /api/fal-jobs/events?group={group} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    await reader.readuntil(b"retry: ")
    return Stream(reader, writer)


class Changer:
    """Produces states: each registration of a job in a group is one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def change(self, group: str, number: int, stream: Stream) -> float:
        """Return the milliseconds from the request until its state is read from `stream`."""
        body = json.dumps({"group": group}).encode()
        head = f"PUT /api/fal-jobs/{group}-{number} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        start = time.perf_counter()
        self._writer.write(head.encode() + body)
        async with asyncio.timeout(PATIENCE):
            end = await stream.state()
            answer = await self._reader.readuntil(b"\r\n\r\n")
            await self._reader.readexactly(int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
        return (end - start) * 1000


async def delays(server: Served, proxies: list[Proxy], run: int) -> dict[str, list[float]]:
    """Return the sorted delays of each path, interleaved: directly, and through each proxy."""
    port = int(server.url.rpartition(":")[2])
    changer = Changer(*await asyncio.open_connection("127.0.0.1", port))
    streams = {"direct": await watch(server.url, f"direct-{run}")}
    for proxy in proxies:
        trust = ssl.create_default_context(cafile=str(proxy.certificate))
        streams[proxy.kind] = await watch(proxy.url, f"{proxy.kind}-{run}", trust)
    found: dict[str, list[float]] = {name: [] for name in streams}
    for number in range(STATES):
        for name, stream in streams.items():
            found[name].append(await changer.change(f"{name}-{run}", number, stream))
            await asyncio.sleep(GAP)
    for stream in streams.values():
        stream.close()
    return {name: sorted(times) for name, times in found.items()}


async def through_curl(seeing: Seeing) -> int:
    """Wait for the completed state; return the number of pings before it."""
    pings = 0
    async for seen in seeing:
        if seen.event == ":":
            pings += 1
        elif seen.event == "job" and seen.json()["status"] == "completed":
            return pings
    raise RuntimeError(f"the stream was cut after {pings} pings")


async def through_socket(socket: Socket) -> int:
    """Do the same over WebSocket."""
    pings = 0
    while True:
        message = json.loads(await socket.raw())
        pings += int(message["type"] == "ping")
        if message["type"] == "job" and message["job"]["status"] == "completed":
            return pings


async def idle(server: Served, proxies: list[Proxy], seconds: float) -> list[str]:
    """Return a line for each stream: alive or lost after the idle time."""
    await server.register("idle")
    path = "/api/fal-jobs/idle/events"
    waiting: dict[str, Coroutine[None, None, int]] = {}
    async with AsyncExitStack() as stack:
        for proxy in proxies:
            for version in ("1.1", "2"):
                options = (f"--http{version}", "--cacert", str(proxy.certificate))
                seeing = await stack.enter_async_context(curl(proxy.url + path, *options))
                waiting[f"{proxy.kind}, SSE over HTTP/{version}"] = through_curl(seeing)
            trust = ssl.create_default_context(cafile=str(proxy.certificate))
            socket = await stack.enter_async_context(python_socket(proxy.socket_url, ssl=trust, ping_interval=None))
            await socket.send(type="subscribe", requestIds=["idle"])
            waiting[f"{proxy.kind}, WebSocket"] = through_socket(socket)
        tasks = {name: asyncio.ensure_future(work) for name, work in waiting.items()}
        await asyncio.sleep(seconds)
        await server.complete("idle")
        async with asyncio.timeout(PATIENCE):
            pings = await asyncio.gather(*tasks.values(), return_exceptions=True)
    return [f"{name}: {_verdict(result)}" for name, result in zip(tasks, pings, strict=True)]


def _verdict(result: int | BaseException) -> str:
    return f"lost ({result})" if isinstance(result, BaseException) else f"alive after {result} pings"


async def main(runs: int, seconds: float) -> None:
    """Start the server and proxies, measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with served(folder, FalDouble()) as server, AsyncExitStack() as stack:
            await server.start()
            certificate = make_certificate(folder)
            proxies = [await stack.enter_async_context(running_proxy(kind, server.url, certificate)) for kind in KINDS]
            _say(f"Milliseconds from a change to the state read, {STATES} states a run")
            for run in range(runs):
                for way, times in (await delays(server, proxies, run)).items():
                    p50, p99 = statistics.median(times), times[int(len(times) * 0.99) - 1]
                    _say(f"run {run + 1}  {way:8} p50 {p50:.2f}  p99 {p99:.2f}  max {times[-1]:.2f}")
            if seconds:
                _say(f"Idle for {seconds:g} s:")
                for line in await idle(server, proxies, seconds):
                    _say(line)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--idle", type=float, default=90.0, help="seconds; 0 leaves it out")
    arguments = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(arguments.runs, arguments.idle))
