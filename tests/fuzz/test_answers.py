"""Mutated answers of fal's: 200,000 with `make fuzz`. Every job has an end, and no task dies."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import SystemRandom
from typing import cast

import httpx
import msgspec
import pytest
from msgspec import Raw
from structlog.testing import capture_logs

from hookcast.bus import LocalBus
from hookcast.dispatcher import Dispatcher
from hookcast.errors import FalError
from hookcast.fal.queue import FalQueue
from hookcast.fal.sentences import MAX_SENTENCE
from hookcast.jobs import CancelRequested, Job, JobStatus, Registered
from hookcast.journal import Notebook
from hookcast.loglines import KEPT_LOG_LINES, MAX_LOG_BYTES
from hookcast.push import Engine
from hookcast.store import JobStore, open_store
from hookcast.store.leases import ask_lease
from hookcast.upkeep.asking import Asking
from hookcast.upkeep.collector import Collector
from hookcast.upkeep.follower import Follower
from hookcast.upkeep.leases import LeaseKeeper
from hookcast.upkeep.reconciler import Reconciler
from hookcast.wire import encode
from support.fal import ENDPOINT, QUEUE
from support.following import OpenKeeper, SilentEngine
from support.fuzz import LONG
from support.fuzzfal import FuzzedFal
from support.working import collecting

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(3600 if LONG else 240)]
ANSWERS = 200_000 if LONG else 500
BATCH = 10
LIMIT = timedelta(hours=1)
LOOKS = 40
DEADLINE = 120.0


class World:
    """What asks fal about jobs, on a clock that moves by the pauses made."""

    def __init__(self, url: str, store: JobStore, client: httpx.AsyncClient) -> None:
        self.url = url
        self.now = datetime(2026, 11, 24, tzinfo=UTC)
        self.store = store
        self.engine = SilentEngine()
        self.queue = FalQueue(client, QUEUE, "key", sleep=self._sleep, jitter=lambda: 0.0, max_result_bytes=100_000)
        asking = Asking(self.queue, self._clock, Notebook(self._clock))
        self.dispatcher = Dispatcher(store, LocalBus(lambda _: None), self._clock)
        self.collector = Collector(store, self.dispatcher, asking, clock=self._clock)
        self.follower = Follower(
            store=store,
            engine=cast("Engine", self.engine),
            dispatcher=self.dispatcher,
            fal=asking,
            keeper=cast("LeaseKeeper", OpenKeeper()),
            sleep=self._sleep,
        )
        self.reconciler = Reconciler(
            store=store,
            dispatcher=self.dispatcher,
            fal=asking,
            clock=self._clock,
            node="fuzz",
            timeout=LIMIT,
        )

    def _clock(self) -> datetime:
        return self.now

    def _pass(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds / BATCH)

    async def _sleep(self, seconds: float) -> None:
        self._pass(seconds)
        await asyncio.sleep(0)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Collect and follow beside the block."""
        following = asyncio.ensure_future(self.follower.run())
        try:
            async with collecting(self.url, self.collector, self.dispatcher, self._pass, node="fuzz"):
                yield
        finally:
            following.cancel()
            await asyncio.wait({following})

    async def begin(self, name: str, number: int) -> str:
        """Submit a job, or register it when fal does not take it; return its id."""
        facts = Registered(endpoint_id=ENDPOINT)
        with suppress(FalError):
            taken = await self.queue.submit(f"{ENDPOINT}/{name}", Raw(b"{}"), webhook_url=None, headers={})
            name = f"{name}-{taken.request_id}"[:200]
            facts = Registered(
                endpoint_id=ENDPOINT,
                response_url=taken.response_url,
                status_url=taken.status_url,
                cancel_url=taken.cancel_url,
                queue_position=taken.queue_position,
            )
        job = (await self.dispatcher.register(name, facts)).after
        if number % 3:
            self.engine.hub.interest.tell(name, watched=True)
        elif number % 2:
            with suppress(FalError):
                await self.queue.cancel(job)
            await self.dispatcher.apply(name, CancelRequested())
        return name

    async def end(self, names: list[str]) -> list[Job]:
        """Look until the jobs have ended, far past their time limits; return them."""
        for _ in range(LOOKS):
            jobs = list((await self.store.get_many(names)).values())
            if all(job.status.terminal for job in jobs):
                break
            self.now += timedelta(minutes=6)
            await self.store.leases.release([ask_lease(name) for name in names], "fuzz")
            with suppress(FalError):
                await self.reconciler.look()
        for name in names:
            self.engine.hub.interest.tell(name, watched=False)
        return jobs


def faults_of(job: Job) -> list[str]:
    """What is wrong with a job at its end."""
    told = json.loads(encode(job).body)
    logs = told["progress"]["logs"]
    wrong = {
        "has no end": not job.status.terminal,
        "has no sentence": job.status is JobStatus.FAILED and not job.error,
        "has a long sentence": len(job.error or "") > MAX_SENTENCE,
        "shows HTML": "<html" in (job.error or ""),
        "has a wrong position": not 0 <= (job.progress.queue_position or 0) < 2**31,
        "has a long log": len(logs) > KEPT_LOG_LINES or len(msgspec.json.encode(job.progress.logs)) > MAX_LOG_BYTES,
        "has no result": (job.status is JobStatus.COMPLETED) != (job.result is not None),
    }
    return [f"{job.request_id} {fault}: {told}" for fault, found in wrong.items() if found]


async def test_every_job_has_an_end_whatever_fal_answers(tmp_path: Path, notes: list[str]) -> None:
    """Submitted or registered, followed, cancelled, or nobody's: `FUZZ_SEED` repeats a run."""
    seed = int(os.environ.get("FUZZ_SEED") or SystemRandom().randrange(10**9))
    fal, batch, ended = FuzzedFal(seed), 0, 0
    url = f"sqlite:///{tmp_path / 'fuzz.db'}"
    async with open_store(url) as store, httpx.AsyncClient(transport=fal) as client:
        while fal.answered < ANSWERS:
            fal.begin(batch)
            world = World(url, store, client)
            with capture_logs() as logs:
                async with asyncio.timeout(DEADLINE), world.running():
                    names = [await world.begin(f"job-{batch}-{number}", number) for number in range(BATCH)]
                    jobs = await world.end(names)
            faults = [fault for job in jobs for fault in faults_of(job)]
            faults += [str(line) for line in logs if line["log_level"] in {"error", "critical"}]
            assert not faults, f"FUZZ_SEED={seed}, batch {batch}: " + "\n".join(faults[:5])
            ended += len(jobs)
            batch += 1
    notes.append(f"answers: FUZZ_SEED={seed}; {fal.answered:,} answers, {ended:,} jobs ended; {dict(fal.seen)}")
