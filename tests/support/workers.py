"""Nodes that work on one database, and handlers that do what a test says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import cast

from hookcast.consequences import Kind, Start
from hookcast.store import JobStore, Piece, WorkTable
from hookcast.store.database import open_database
from hookcast.store.work import add
from hookcast.upkeep.worker import Done, Handler, Outcome, Worker
from support.fakes import Outage
from support.working import HurriedWork

PATIENT = 600.0

Run = Callable[[Piece], Awaitable[Outcome]]


class World:
    """Nodes that work on one database; `passed` holds the pauses that nobody waited for."""

    def __init__(self, url: str, store: JobStore) -> None:
        self.url = url
        self.outage = Outage(store)
        self.table = store.work
        self.passed: list[float] = []

    async def add(self, *names: str, kind: str = "fetch", after: float = -1.0) -> None:
        """Add due pieces."""
        database = open_database(self.url)
        starts = [Start(f"{kind}:{name}", cast("Kind", _Kind(kind)), name, after) for name in names]
        await database.write(lambda connection: add(database, connection, starts))
        await database.close()

    async def left(self) -> int:
        """How many are not done."""
        return await self.table.waiting("fetch")

    async def empty(self, but: int = 0) -> None:
        """Wait until at most `but` are left."""
        while await self.left() > but:  # noqa: ASYNC110 - a database has no event
            await asyncio.sleep(0.001)

    @asynccontextmanager
    async def node(self, handlers: Mapping[str, Handler] | Run, name: str = "one") -> AsyncIterator[Worker]:
        """A node at work, whose pauses pass at once; one handler is that of `fetch`."""
        if not isinstance(handlers, Mapping):
            handlers = {"fetch": Handler(handlers, 10, PATIENT)}
        database = open_database(self.url)
        table = HurriedWork(database, self.passed.append)
        worker = Worker(cast("WorkTable", self.outage.part(table)), handlers, name)
        task = asyncio.ensure_future(worker.run())
        try:
            yield worker
        finally:
            task.cancel()
            await asyncio.wait({task})
            await database.close()


class _Kind(str):
    """A kind of the test's own."""

    __slots__ = ()

    @property
    def value(self) -> str:
        """As an enum has it."""
        return str(self)


class Handling:
    """A handler that notes each piece, and does what the test says."""

    def __init__(self, *outcomes: Outcome | Exception) -> None:
        self.outcomes = list(outcomes)
        self.pieces: list[Piece] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.running = self.most = self.cancelled = 0

    async def __call__(self, piece: Piece) -> Outcome:
        """Note the piece, wait for the gate, and return or raise the next outcome; Done after the last."""
        self.pieces.append(piece)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        outcome = self.outcomes.pop(0) if self.outcomes else Done()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    @property
    def names(self) -> list[str]:
        """The jobs, in order."""
        return [piece.request_id for piece in self.pieces]
