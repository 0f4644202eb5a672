"""How many signed webhooks a second: verified, committed and pushed to the watcher of each job, who then leaves.

The watchers are the load generator's; this process plays fal's JWKS and sends the webhooks over many connections, each
after the answer to the one before.
"""

import asyncio
import os
import time

from bench.catalog import Peer
from bench.latency import serve_keys, webhook
from bench.load import Figures, loading
from bench.process import Server, running

CONNECTIONS = 64
SECONDS = 120


def webhooks(peer: Peer, jobs: int) -> Figures:
    """Every one of `jobs` jobs has a watcher, and ends."""
    return asyncio.run(_webhooks(peer, jobs))


async def _webhooks(peer: Peer, jobs: int) -> Figures:
    keys = await asyncio.start_server(serve_keys, "127.0.0.1", 0)
    os.environ["HOOKCAST_FAL_JWKS_URL"] = f"http://127.0.0.1:{keys.sockets[0].getsockname()[1]}/"
    try:
        async with keys, asyncio.timeout(SECONDS):
            with running(peer) as server:
                arguments = ("--hold", "--name", "w", "--streams", jobs, "--topics", jobs)
                with loading(server, *arguments) as load:
                    load.phase("connected")
                    return await _send(server, [webhook(f"w-{number:05}") for number in range(jobs)])
    finally:
        del os.environ["HOOKCAST_FAL_JWKS_URL"]


async def _send(server: Server, messages: list[bytes]) -> Figures:
    await _post(server.port, [webhook("warm-up")])
    cpu, start = server.cpu_seconds(), time.perf_counter()
    parts = await asyncio.gather(*(_post(server.port, messages[first::CONNECTIONS]) for first in range(CONNECTIONS)))
    seconds, used = time.perf_counter() - start, server.cpu_seconds() - cpu
    times = sorted(took for part in parts for took in part)
    return {
        "webhooks": len(messages) / seconds,
        "webhook_us": used / len(messages) * 1e6,
        "p50_ms": times[len(times) // 2] * 1000,
        "p99_ms": times[int(len(times) * 0.99)] * 1000,
    }


async def _post(port: int, messages: list[bytes]) -> list[float]:
    """Seconds from each webhook to its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    times = []
    for message in messages:
        start = time.perf_counter()
        writer.write(message)
        answer = await reader.readuntil(b'"}')
        assert b'"accepted"' in answer, answer
        times.append(time.perf_counter() - start)
    writer.close()
    return times
