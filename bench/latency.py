"""Latency from webhook to subscriber: sent → verified → committed → SSE frame read, for 100 watched jobs.

Starts `hookcast serve` on a fresh database in its own process; this process serves fal's JWKS, signs the webhooks and
reads the streams. One scenario of `python -m bench`.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from os import environ
from pathlib import Path

from bench.process import SERVER_CORE
from bench.signing import PAYLOAD, jwks, webhook

JOBS = 100
RUN_SECONDS = 30
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"


async def serve_keys(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer any request with the JWKS."""
    await reader.readuntil(b"\r\n\r\n")
    body = jwks()
    writer.write(HEAD % len(body) + body)
    await writer.drain()
    writer.close()


async def watch(port: int, request_id: str, ready: asyncio.Event) -> float:
    """Open a stream, read until the job has completed, and return the time of that read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /api/fal-jobs/{request_id}/events HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await reader.readuntil(b"retry: ")
    ready.set()
    await reader.readuntil(b'"status":"completed"')
    moment = time.perf_counter()
    writer.close()
    return moment


async def one_run(port: int, run: int | str, gap: float, payload: object = PAYLOAD) -> list[float]:
    """Return each job's latency in milliseconds; webhooks are sent `gap` seconds apart."""
    names = [f"run{run}-job{number}" for number in range(JOBS)]
    ready = [asyncio.Event() for _ in names]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.TaskGroup() as group:
        watching = [group.create_task(watch(port, *pair)) for pair in zip(names, ready, strict=True)]
        await asyncio.gather(*(event.wait() for event in ready))
        sent = []
        for name in names:
            message = webhook(name, payload)
            sent.append(time.perf_counter())
            writer.write(message)
            await reader.readuntil(b'"accepted"}')
            await asyncio.sleep(gap)
    writer.close()
    return [(task.result() - start) * 1000 for task, start in zip(watching, sent, strict=True)]


@asynccontextmanager
async def serving(port: int, keys: str) -> AsyncIterator[None]:
    """Run `hookcast serve` on the server's core with a fresh database, inside the block."""
    with tempfile.TemporaryDirectory() as folder:
        variables = {"HOOKCAST_FAL_JWKS_URL": keys, "HOOKCAST_DATABASE_URL": f"sqlite:///{Path(folder) / 'bench.db'}"}
        command = ["taskset", "-c", str(SERVER_CORE), sys.executable, "-m", "hookcast", "serve", "--port", str(port)]
        server = await asyncio.create_subprocess_exec(
            *command,
            env={**environ, **variables},
            cwd=folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            assert server.stdout is not None
            await asyncio.wait_for(server.stdout.readline(), RUN_SECONDS)
            yield
        finally:
            server.terminate()
            await server.wait()
