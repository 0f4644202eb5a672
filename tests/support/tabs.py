"""Many tabs at once: streams that count the states they read, at little cost to whoever reads them."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from hookcast.jobs import Job
from hookcast.store import open_store
from hookcast.store.database import open_database
from hookcast.store.rows import to_row
from hookcast.store.schema import jobs
from support.push import client_frames
from support.raw import UPGRADE, get

KINDS = ("sse", "websocket")
BETWEEN = 200  # bytes; what is looked for is shorter
LIMIT_SECONDS = 120.0
PORTION = 1000


class Tab(asyncio.Protocol):
    """Counts the states that it reads, and notes when it has read what it waits for."""

    def __init__(self, kind: str, names: dict[str, list[str]]) -> None:
        self.states = 0
        self.seen = 0.0
        self._kind = kind
        self._names = names
        self._begin = b'{"type":"job"' if kind == "websocket" else b"event: job"
        self._before = b""  # what is looked for may come in two pieces
        self._until: tuple[int, bytes, asyncio.Future[None]] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        keys = {"owners": "owner", "requestIds": "requestId"}
        query = "&".join(f"{keys[name]}={value}" for name, values in self._names.items() for value in values)
        transport.write(UPGRADE if self._kind == "websocket" else get(f"/api/fal-jobs/events?{query}"))

    def data_received(self, data: bytes) -> None:
        """Subscribe after the 101, and count the states."""
        if self._kind == "websocket" and data.startswith(b"HTTP/1.1 101") and self.transport:
            self.transport.write(client_frames({"type": "subscribe", **self._names}))
        whole = self._before + data
        self.states += whole.count(self._begin) - self._before.count(self._begin)
        self._before = whole[-BETWEEN:]
        if self._until is not None and self.states >= self._until[0] and self._until[1] in whole:
            self._until[2].set_result(None)
            self._until, self.seen = None, time.perf_counter()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        if self._until is not None:
            reason = f"a stream ended after {self.states} states: {exc}, {self._before!r}"
            self._until[2].set_exception(ConnectionError(reason))

    def close(self) -> None:
        """Leave."""
        self._until = None
        if self.transport is not None:
            self.transport.abort()

    def until(self, states: int, mark: bytes = b"") -> "asyncio.Future[None]":
        """Return what is done once so many states are read, the last with `mark` in the same piece."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._until = (states, mark, future)
        return future


@asynccontextmanager
async def open_tabs(port: int, kind: str, count: int, states: int, **names: list[str]) -> AsyncIterator[list[Tab]]:
    """Open tabs of these `owners` or `requestIds` at once, and wait until each has read so many first states."""
    loop, opened = asyncio.get_running_loop(), [Tab(kind, names) for _ in range(count)]
    read = [tab.until(states) for tab in opened]
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            for tab in opened:
                await loop.create_connection(lambda tab=tab: tab, "127.0.0.1", port)  # type: ignore[misc]
            await asyncio.gather(*read)
        yield opened
    finally:
        for tab in opened:
            tab.close()


async def write_jobs(url: str, made: Iterable[Job]) -> None:
    """Write very many jobs into a database, as if they had been there before the server started."""
    async with open_store(url):
        pass
    database = open_database(url)
    rows = ({**to_row(job), "changed_at": job.updated_at.timestamp()} for job in made)
    while portion := list(itertools.islice(rows, PORTION)):
        await database.write(lambda connection, portion=portion: connection.execute(jobs.insert(), portion))  # type: ignore[misc]
    await database.close()
