"""A reconciler with everything it needs, on a clock of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx

from hookcast.bus import LocalBus
from hookcast.dispatcher import Dispatcher
from hookcast.fal.queue import FalQueue
from hookcast.jobs import (
    Job,
    Registered,
)
from hookcast.journal import Notebook
from hookcast.store import JobStore, open_store
from hookcast.upkeep.asking import Asking
from hookcast.upkeep.collector import Collector
from hookcast.upkeep.reconciler import Reconciler
from support.fal import ENDPOINT, QUEUE, FalDouble
from support.working import collecting

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
LIMIT = timedelta(hours=1)


@dataclass
class World:
    """A reconciler with everything it needs; `now` moves when the test says so."""

    store: JobStore
    dispatcher: Dispatcher
    reconciler: Reconciler
    fal: FalDouble
    now: datetime = NOW

    def clock(self) -> datetime:
        """The test's time."""
        return self.now

    async def register(self, request_id: str, endpoint_id: str | None = ENDPOINT) -> None:
        """A pending job."""
        await self.dispatcher.apply(request_id, Registered(endpoint_id=endpoint_id))

    async def look(self, after: timedelta) -> int:
        """Let time pass, then look."""
        self.now += after
        return await self.reconciler.look()

    async def job(self, request_id: str) -> Job:
        """The job as it is stored."""
        found = await self.store.get(request_id)
        assert found is not None
        return found

    async def ended(self, request_id: str) -> Job:
        """The job once its result has been fetched."""
        while not (job := await self.job(request_id)).status.terminal:
            pass
        return job


async def at_once(_seconds: float) -> None:
    """A pause that takes no time."""
    await asyncio.sleep(0)


@asynccontextmanager
async def opened_world(url: str, fal: FalDouble, *, node: str = "one") -> AsyncIterator[World]:
    """A world on this database."""
    async with open_store(url) as store, httpx.AsyncClient(transport=fal) as client:
        fal_queue = FalQueue(client, QUEUE, "key", sleep=at_once)
        world: World

        def clock() -> datetime:
            return world.clock()

        asking = Asking(fal_queue, clock, Notebook(clock))
        dispatcher = Dispatcher(store, LocalBus(lambda _: None), clock)
        collector = Collector(store, dispatcher, asking, clock=clock)
        reconciler = Reconciler(store=store, dispatcher=dispatcher, fal=asking, clock=clock, node=node, timeout=LIMIT)
        world = World(store, dispatcher, reconciler, fal)
        async with collecting(url, collector, dispatcher, lambda _seconds: None, node=node):
            yield world
