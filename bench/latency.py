"""Latency from webhook to subscriber: sent → verified → committed → SSE frame read, for 100 watched jobs.

Starts `hookcast serve` on a fresh database in its own process; this process serves fal's JWKS, signs the webhooks and
reads the streams. One scenario of `python -m bench`.
"""

import asyncio
import base64
import hashlib
import json
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from os import environ
from pathlib import Path

from nacl.signing import SigningKey

from bench.process import SERVER_CORE

JOBS = 100
RUN_SECONDS = 30
KEY = SigningKey.generate()
PAYLOAD = {"video": {"url": "https://v3.fal.media/files/x/output.mp4", "content_type": "video/mp4"}}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"


def free_port() -> int:
    """Return a port that is free right now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def jwks() -> bytes:
    """Return a JWKS with the one signing key, as fal's."""
    x = base64.urlsafe_b64encode(bytes(KEY.verify_key)).decode()
    return json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]}).encode()


async def serve_keys(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer any request with the JWKS."""
    await reader.readuntil(b"\r\n\r\n")
    body = jwks()
    writer.write(HEAD % len(body) + body)
    await writer.drain()
    writer.close()


def webhook(request_id: str, payload: object = PAYLOAD) -> bytes:
    """Return a signed webhook as an HTTP/1.1 request."""
    body = json.dumps({"request_id": request_id, "status": "OK", "error": None, "payload": payload}).encode()
    seconds = str(int(time.time()))
    digest = hashlib.sha256(body).hexdigest()
    signature = KEY.sign(f"{request_id}\nuser\n{seconds}\n{digest}".encode()).signature.hex()
    head = (
        f"POST /api/webhooks/fal HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        f"X-Fal-Webhook-Request-Id: {request_id}\r\nX-Fal-Webhook-User-Id: user\r\n"
        f"X-Fal-Webhook-Timestamp: {seconds}\r\nX-Fal-Webhook-Signature: {signature}\r\n\r\n"
    )
    return head.encode() + body


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
async def serving(port: int, jwks: str) -> AsyncIterator[None]:
    """Run `hookcast serve` on the server's core with a fresh database, inside the block."""
    with tempfile.TemporaryDirectory() as folder:
        variables = {"HOOKCAST_FAL_JWKS_URL": jwks, "HOOKCAST_DATABASE_URL": f"sqlite:///{Path(folder) / 'bench.db'}"}
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


async def main(runs: int) -> list[tuple[float, float]]:
    """Measure, print one line per run, and return p50 and p99 of each, in milliseconds."""
    keys = await asyncio.start_server(serve_keys, "127.0.0.1", 0)
    port = free_port()
    found = []
    async with keys, serving(port, f"http://127.0.0.1:{keys.sockets[0].getsockname()[1]}/"):
        for run in range(runs):
            async with asyncio.timeout(RUN_SECONDS):
                times = sorted(await one_run(port, run, 0.01))
            p50, p99 = statistics.median(times), times[int(len(times) * 0.99) - 1]
            found.append((p50, p99))
            words = f"p50 {p50:.2f} ms  p99 {p99:.2f} ms  max {times[-1]:.2f} ms"
            print(f"latency run {run + 1}: {words}", file=sys.stderr)
    return found
