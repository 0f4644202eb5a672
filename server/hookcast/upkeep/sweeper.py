"""Removes what crashed nodes have left half-written in the storage of kept files."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from hookcast.jobs import Clock
from hookcast.logs import get_logger
from hookcast.media.failures import StorageFailed
from hookcast.media.parts import Media
from hookcast.tasks import repeat
from hookcast.upkeep.retention import pauses

AGE = timedelta(hours=1)  # no copy is silent for as long: a draft that is older belongs to none
TURN = "sweep"  # among those of jobs

_log = get_logger(__name__)


class Sweeper:
    """Removes old drafts. `sleep` is injected for tests."""

    def __init__(
        self, media: Media, clock: Clock, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._storage = media.storage
        self._turns = media.turns
        self._clock = clock
        self._sleep = sleep

    async def run(self) -> None:
        """Sweep within a minute of the start, then every 30 to 60 minutes, until cancelled."""
        coming = pauses()
        await repeat(self.sweep, lambda: next(coming), self._sleep, failed="not_swept")

    async def sweep(self) -> int:
        """Remove the drafts that were last written more than an hour ago; return how many."""
        before = self._clock() - AGE
        try:
            count = await self._turns.run(TURN, lambda _: self._storage.sweep(before))
        except StorageFailed as error:
            _log.warning("not_swept", reason=str(error))
            return 0
        if count:
            _log.info("drafts_removed", files=count)
        return count
