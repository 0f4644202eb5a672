"""A server that keeps the files of results: its jobs, and its memory meanwhile."""

import asyncio
import contextlib
import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.catalog import Peer, Place
from bench.media.hosted import SECONDS
from bench.process import CORES, BenchError, Server, free_port, running
from bench.services import serving_keys
from bench.signing import webhook

SENDERS = 16


@contextlib.contextmanager
def hookcast(folder: Path, **variables: str) -> Iterator[Server]:
    """Run `hookcast serve`, which keeps files in the folder."""

    def command(place: Place) -> list[str]:
        return [sys.executable, "-m", "hookcast", "serve", "--port", str(place.port)]

    local = f"http://127.0.0.1:{free_port()}"  # so that files of loopback addresses are kept
    with (
        serving_keys() as keys,
        running(
            Peer("hookcast", "Hookcast", command, ""),
            CORES,
            {
                "HOOKCAST_FAL_JWKS_URL": keys,
                "HOOKCAST_FAL_QUEUE_URL": local,
                "HOOKCAST_MEDIA_URL": f"file://{folder}",
                **variables,
            },
        ) as server,
    ):
        yield server


class Peak:
    """The highest memory of a server while the block runs, in MiB above that at its beginning."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.first = self.highest = server.rss_kib()

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def growth(self) -> float:
        """The growth so far."""
        return (self.highest - self.first) / 1024

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            self.highest = max(self.highest, self._server.rss_kib())


async def completed(port: int, payloads: dict[str, object], kept: int = 1) -> float:
    """Send a webhook for each job, and return the seconds until all are completed, with `kept` files each."""
    began = time.perf_counter()
    async with asyncio.timeout(SECONDS):
        names = list(payloads)
        await asyncio.gather(*(_send(port, names[place::SENDERS], payloads) for place in range(SENDERS)))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for name in names:
            state = await _ended(reader, writer, name)
            if [file["status"] for file in state["media"]] != ["kept"] * kept:
                raise BenchError(f"not all files were kept: {state['media']}")
        writer.close()
    return time.perf_counter() - began


async def _send(port: int, names: list[str], payloads: dict[str, object]) -> None:
    """Send webhooks one after the other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for name in names:
        writer.write(webhook(name, payloads[name]))
        await reader.readuntil(b'"accepted"}')
    writer.close()


async def _ended(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> dict[str, Any]:
    version = 0
    while True:
        path = f"/api/fal-jobs/{name}?wait=30&version={version}"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        state: dict[str, Any] = json.loads(await _body(reader, head))
        if state["status"] != "pending":
            return state
        version = state["version"]


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    if b"transfer-encoding: chunked" not in head:
        return await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
    parts = []
    while size := int(await reader.readline(), 16):
        parts.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(parts)
