"""Durable work on a clock of the test's own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from sqlalchemy import Connection, select, update

from hookcast.consequences import Kind
from hookcast.dispatcher import Dispatcher
from hookcast.store import Piece, WorkTable
from hookcast.store.base import Database
from hookcast.store.database import open_database
from hookcast.store.schema import work
from hookcast.upkeep.collector import MAX_AT_ONCE, MAX_SECONDS, Collector
from hookcast.upkeep.worker import Handler, Worker


class HurriedWork(WorkTable):
    """A table in which time passes while nothing is due: `passed` receives the seconds until the next piece is due."""

    def __init__(self, database: Database, passed: Callable[[float], object]) -> None:
        super().__init__(database)
        self._passed = passed

    async def next_due(self, kinds: Iterable[str]) -> dict[str, float]:
        """Return what is due, after the pause until then."""
        found = await super().next_due(kinds)
        pause = min(found.values(), default=0.0)
        if pause <= 0:
            return found
        self._passed(pause)
        sooner = update(work).values(due_at=work.c.due_at - pause)
        await self._database.write(lambda connection: connection.execute(sooner))
        return {kind: seconds - pause for kind, seconds in found.items()}


async def claim_early(url: str) -> list[Piece]:
    """Claim every fetch, due or not."""
    database = open_database(url)
    await database.write(lambda connection: connection.execute(update(work).values(due_at=0.0)))
    try:
        return await WorkTable(database).claim(Kind.FETCH, 100, "test", 3600.0)
    finally:
        await database.close()


@asynccontextmanager
async def collecting(
    url: str, collector: Collector, dispatcher: Dispatcher, passed: Callable[[float], object], *, node: str = "one"
) -> AsyncIterator[None]:
    """Fetch results beside the block, without waiting: `passed` receives the seconds of each pause."""
    database = open_database(url)
    handlers: dict[str, Handler] = {Kind.FETCH: Handler(collector.fetch, MAX_AT_ONCE, MAX_SECONDS)}
    worker = Worker(HurriedWork(database, passed), handlers, node)
    dispatcher.listen(worker.wake)
    task = asyncio.ensure_future(worker.run())
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        await database.close()


@asynccontextmanager
async def hurry(url: str, kind: Kind, waits: list[float]) -> AsyncIterator[None]:
    """Let no piece of this kind wait inside the block; `waits` gets the seconds that each had to wait."""
    database = open_database(url)
    waiting = (work.c.kind == kind, work.c.holder.is_(None), work.c.due_at > database.clock + 0.5)
    due = select(work.c.due_at - database.clock).where(*waiting)

    def pass_time(connection: Connection) -> list[float]:
        found = list(connection.execute(due).scalars())
        if found:
            connection.execute(update(work).where(*waiting).values(due_at=database.clock - 1.0))
        return found

    async def run() -> None:
        while True:
            waits.extend(await database.write(pass_time))
            await asyncio.sleep(0.02)

    task = asyncio.ensure_future(run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        await database.close()
