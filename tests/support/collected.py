"""A collector between fal's double and a store, on a clock of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

import httpx
from msgspec.structs import replace

from hookcast.bus import LocalBus
from hookcast.consequences import Kind
from hookcast.dispatcher import Dispatcher
from hookcast.fal.queue import FalQueue
from hookcast.jobs import Job, Phase, Progressed, Registered
from hookcast.journal import Notebook
from hookcast.upkeep.asking import Asking
from hookcast.upkeep.collector import Collector
from hookcast.upkeep.worker import Later
from support.fakes import Outage, Sleeper
from support.fal import ENDPOINT, QUEUE, FalDouble
from support.working import claim_early, collecting


class World:
    """A collector between fal's double and a store, with a clock that moves by the pauses made."""

    def __init__(self, url: str, outage: Outage, client: httpx.AsyncClient, fal: FalDouble) -> None:
        self.url = url
        self.outage = outage
        self.fal = fal
        self.now = datetime(2026, 11, 23, tzinfo=UTC)
        self.pauses: list[float] = []
        self.dispatcher = Dispatcher(outage.store, LocalBus(lambda _: None), lambda: self.now)
        # The queue's own retries are another test's; here each attempt is one request.
        fal_queue = FalQueue(client, QUEUE, "key", sleep=Sleeper(free=True))
        asking = Asking(fal_queue, lambda: self.now, Notebook(lambda: self.now))
        self.collector = Collector(outage.store, self.dispatcher, asking, clock=lambda: self.now)

    def passed(self, seconds: float) -> None:
        """Let time pass."""
        self.pauses.append(seconds)
        self.now += timedelta(seconds=seconds)

    def running(self) -> AbstractAsyncContextManager[None]:
        """The collector at work."""
        return collecting(self.url, self.collector, self.dispatcher, self.passed)

    async def saving(self, request_id: str = "job-1", patience: float = 0.0) -> Job:
        """A job that fal has finished, and whose result is not here."""
        await self.dispatcher.register(request_id, Registered(endpoint_id=ENDPOINT))
        return (await self.dispatcher.apply(request_id, Progressed(phase=Phase.SAVING), patience=patience)).after

    async def fetched(self, patience: float = 0.0) -> Job:
        """Fetch the result of a job to its end, one attempt after the other."""
        await self.saving(patience=patience)
        async for _ in self.attempts():
            pass
        return await self.ended()

    async def attempts(self) -> AsyncIterator[None]:
        """Yield after each attempt but the last, with the pause."""
        store = self.outage.store
        first = (await store.work.next_due([Kind.FETCH]))[Kind.FETCH]
        self.passed(max(round(first), 0.0))
        [piece] = await claim_early(self.url)
        while isinstance(outcome := await self.collector.fetch(piece), Later):
            assert outcome.facts is not None
            yield
            self.passed(outcome.seconds)
            piece = replace(piece, attempts=piece.attempts + 1, facts=outcome.facts)

    async def ended(self, request_id: str = "job-1") -> Job:
        """The job at its end."""
        while True:
            job = await self.outage.store.get(request_id)
            if job is not None and job.status.terminal:
                return job
            await asyncio.sleep(0.001)
