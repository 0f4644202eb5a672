"""Clients that watch jobs over SSE and reconnect as EventSource does, and a ledger of all states they received.

As behind a load balancer, a client that one node refuses or that is told of a restart tries the next node at once.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from support.connections import connected
from support.web import NETWORK, parse_head

SILENCE_SECONDS = 60.0  # the server pings every 15 s
OPENING_SECONDS = 60.0
CONNECTS_AT_ONCE = 200


class Seen(Struct, rename="camel"):
    """The fields of a state that matter here."""

    request_id: str
    version: int
    status: str


class Ledger:
    """One history of versions across all clients; `wrong` lists contradictions."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self._bodies: dict[tuple[str, int], int] = {}
        self.ends: dict[str, int] = {}

    def see(self, body: bytes) -> Seen:
        """Record a state that a client received over any transport."""
        state = msgspec.json.decode(body, type=Seen)
        name, version = state.request_id, state.version
        if self._bodies.setdefault((name, version), hash(body)) != hash(body):
            self.wrong.append(f"version {version} of {name} is two states")
        if state.status != "pending" and self.ends.setdefault(name, version) != version:
            self.wrong.append(f"{name} ended with version {self.ends[name]} and with version {version}")
        if version > self.ends.get(name, version):
            self.wrong.append(f"{name} went on to version {version} after its end")
        return state


@dataclass(slots=True)
class Visit:
    """One connection."""

    port: int
    opened: float
    closed: float | None = None
    versions: dict[str, int] = field(default_factory=dict)


class Watcher:
    """Watches jobs until each has ended. `patience` scales the server's `retry` delays."""

    def __init__(
        self, names: Iterable[str], ports: Sequence[int], ledger: Ledger, random: Random, *, patience: float = 1.0
    ) -> None:
        self.names = tuple(names)
        self.ends: dict[str, float] = {}  # when each job's terminal state arrived, on the event loop's clock
        self.visits: list[Visit] = []
        self.opened = asyncio.Event()
        self.done = False
        self._ports = list(ports)
        self._ledger = ledger
        self._random = random
        self._patience = patience
        self._retry = 1.0
        self._path = f"/api/fal-jobs/events?{urlencode([('requestId', name) for name in self.names])}"

    async def run(self, connects: asyncio.Semaphore) -> None:
        """Reconnect until the server sends `end`."""
        while not self.done:
            await self._through_the_balancer(connects)
            if not self.done:
                await asyncio.sleep(self._retry * self._patience)

    @property
    def connected(self) -> bool:
        """True while a stream is open."""
        return bool(self.visits) and self.visits[-1].closed is None

    def pauses(self) -> list[float]:
        """Return the length of each interruption, in seconds."""
        breaks = zip(self.visits, self.visits[1:], strict=False)
        return [later.opened - earlier.closed for earlier, later in breaks if earlier.closed is not None]

    async def _through_the_balancer(self, connects: asyncio.Semaphore) -> None:
        self._random.shuffle(self._ports)
        for port in self._ports:
            with suppress(*NETWORK):
                if await self._visit(port, connects):
                    return

    async def _visit(self, port: int, connects: asyncio.Semaphore) -> bool:
        """Open one connection and read it to its end; False = the server has no stream available now."""
        clock = asyncio.get_running_loop().time
        async with AsyncExitStack() as stack:
            async with connects, asyncio.timeout(OPENING_SECONDS):
                reader, writer = await stack.enter_async_context(connected(port))
                writer.write(f"GET {self._path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
                status, _ = parse_head(await reader.readuntil(b"\r\n\r\n"))
            if status == 503:
                return False
            if status != 200:
                self._ledger.wrong.append(f"a stream was answered {status}")
                return False
            visit = Visit(port, clock())
            self.visits.append(visit)
            self.opened.set()
            try:
                await self._read(reader, visit)
            except NETWORK:
                pass  # reconnect after any error, as EventSource does
            finally:
                visit.closed = clock()
            return True

    async def _read(self, reader: asyncio.StreamReader, visit: Visit) -> None:
        fields: dict[bytes, bytes] = {}
        while not self.done:
            async with asyncio.timeout(SILENCE_SECONDS):
                line = (await reader.readuntil(b"\n"))[:-1]
            if line:
                name, _, value = line.partition(b": ")
                fields[name] = value
                if name == b"retry":
                    self._retry = int(value) / 1000
                continue
            if b"data" not in fields:
                self._ledger.wrong.append("an empty event was sent")
            elif fields.get(b"event") == b"job":
                self._take(visit, fields[b"data"])
            elif fields.get(b"event") == b"end":
                self.done = True
                self._missing()
            fields = {}

    def _take(self, visit: Visit, body: bytes) -> None:
        state = self._ledger.see(body)
        name, version = state.request_id, state.version
        if version <= visit.versions.get(name, 0):
            self._ledger.wrong.append(f"{name}: version {version} after {visit.versions[name]} on one connection")
        visit.versions[name] = version
        if state.status != "pending":
            self.ends.setdefault(name, asyncio.get_running_loop().time())

    def _missing(self) -> None:
        missing = len(set(self.names) - self.ends.keys())
        if missing:
            self._ledger.wrong.append(f"a stream ended without the end of {missing} of its jobs")


class Watching:
    """Running watchers."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.watchers: list[Watcher] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._group = group
        self._connects = asyncio.Semaphore(CONNECTS_AT_ONCE)

    def add(self, watchers: Iterable[Watcher]) -> None:
        """Start more watchers."""
        for watcher in watchers:
            self.watchers.append(watcher)
            self.tasks.append(self._group.create_task(watcher.run(self._connects)))

    async def opened(self) -> None:
        """Wait until each watcher has its first stream."""
        await asyncio.gather(*(watcher.opened.wait() for watcher in self.watchers))

    async def ended(self) -> None:
        """Wait until each watcher has received the end of all its jobs."""
        await asyncio.gather(*self.tasks)


@asynccontextmanager
async def watching(watchers: Iterable[Watcher]) -> AsyncIterator[Watching]:
    """Run watchers inside the block, which starts once their streams are open."""
    async with asyncio.TaskGroup() as group:
        running = Watching(group)
        try:
            running.add(watchers)
            await running.opened()
            yield running
        finally:
            for task in running.tasks:
                task.cancel()
