"""`hookcast serve` in a separate process on a real port; this event loop serves fal's JWKS."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from support.connections import listening
from support.fal import FalDouble, jwk, sign
from support.forked import Forked, Start
from support.ports import quiet_port
from support.server import CONNECTIONS, PLAIN
from support.web import has_database

DEADLINE = 120.0


@dataclass
class Served:
    """A server on a fixed URL; `process` is the current one."""

    url: str
    folder: Path
    fal: FalDouble
    client: httpx.AsyncClient
    environment: dict[str, str]
    process: Forked | None = None

    async def start(self) -> None:
        """Start the server, and wait until it listens and has its database."""
        port = self.url.rpartition(":")[2]
        start = Start(["serve", "--port", port], self.folder, {**os.environ, **self.environment})
        nowhere = os.open(os.devnull, os.O_WRONLY)
        self.process = Forked(start, nowhere)
        os.close(nowhere)
        line = await asyncio.to_thread(self.process.stdout.readline)
        assert "listens on" in line, line
        await has_database(int(port))

    async def stop(self) -> None:
        """Stop the server with SIGTERM, as a deployment does: it drains and exits with 0."""
        assert self.process is not None
        self.process.terminate()
        assert await asyncio.to_thread(self.process.wait) == 0
        self.process = None

    async def kill(self) -> None:
        """Kill the server, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            await asyncio.to_thread(self.process.wait)
        self.process = None

    async def register(self, request_id: str, **facts: Any) -> None:
        """Register a job, or add facts to it."""
        (await self.client.put(f"/api/fal-jobs/{request_id}", json=facts)).raise_for_status()

    async def complete(self, request_id: str, **fields: Any) -> None:
        """Send a job's signed webhook."""
        body = self.fal.webhook(request_id, **fields)
        answer = await self.client.post("/api/webhooks/fal", content=body, headers=sign(body, self.fal.key))
        answer.raise_for_status()


@asynccontextmanager
async def served(folder: Path, fal: FalDouble, **environment: str) -> AsyncIterator[Served]:
    """Yield a server, not started yet, with its files in `folder`; end it with the block."""
    keys = json.dumps({"keys": [jwk(fal.key)]}).encode()

    async def publish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % len(keys) + keys)
        await writer.drain()

    url = f"http://127.0.0.1:{quiet_port()}"
    async with (
        listening(publish) as port,
        httpx.AsyncClient(base_url=url, timeout=DEADLINE, limits=CONNECTIONS, verify=PLAIN) as client,
    ):
        variables = {"HOOKCAST_FAL_JWKS_URL": f"http://127.0.0.1:{port}/", **environment}
        server = Served(url, folder, fal, client, variables)
        try:
            yield server
        finally:
            await server.kill()
