"""Deletes rows that are no longer needed: of jobs that ended long ago, and keys, leases and notes that have expired."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta

from hookcast.jobs import Clock
from hookcast.logs import get_logger
from hookcast.store import JobStore
from hookcast.tasks import repeat

FIRST_SECONDS = 60.0  # after the start: a node that is replaced each half hour cleans up, too
EVERY_SECONDS = 3600.0
PORTION = 500  # rows per transaction at most, to keep transactions short
PAUSE_SECONDS = 0.05  # between transactions, for the writers that wait

_log = get_logger(__name__)


class Retention:
    """Deletes jobs that ended more than `kept` ago. `sleep` is injected for tests."""

    def __init__(
        self,
        store: JobStore,
        clock: Clock,
        kept: timedelta,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._clock = clock
        self._kept = kept
        self._sleep = sleep

    async def run(self) -> None:
        """Clean up within a minute of the start, then every 30 to 60 minutes, until cancelled."""
        coming = pauses()
        await repeat(self.clean, lambda: next(coming), self._sleep, failed="not_cleaned")

    async def clean(self) -> int:
        """Delete everything due, in small portions with a pause in between; return the number of jobs deleted."""
        before = self._clock() - self._kept
        await self._all(lambda: self._store.submits.forget(before, PORTION))
        await self._all(lambda: self._store.leases.forget_ended(PORTION))
        await self._all(lambda: self._store.forget_removed(PORTION))
        removed = await self._all(lambda: self._store.remove_ended(before, PORTION))  # last: large ones may fail
        await self._all(self._store.shrink)
        _log.info("cleaned", jobs=removed)
        return removed

    async def _all(self, step: Callable[[], Awaitable[int]]) -> int:
        """Repeat the step until it has nothing left to do; return the sum of what it did."""
        done = 0
        while some := await step():
            done += some
            await self._sleep(PAUSE_SECONDS)
        return done


def pauses() -> Iterator[float]:
    """Yield pauses in seconds, jittered: nodes that start together do not clean up together."""
    pause = FIRST_SECONDS
    while True:
        yield pause * random.uniform(0.5, 1.0)  # noqa: S311
        pause = EVERY_SECONDS
