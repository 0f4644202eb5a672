"""Heals what the bus did not carry.

Once a second the node asks the database what was written since, and pushes what its watchers have not seen: one indexed
query, whatever the number of watchers.
"""

import asyncio
from collections.abc import Awaitable, Callable

from hookcast.errors import StoreUnavailable
from hookcast.logs import get_logger
from hookcast.push.engine import Engine
from hookcast.store import JobStore
from hookcast.store.database import DEADLINE_SECONDS

# A transaction is visible at the latest this long after its `changed_at`: rows become visible out of order.
LOOK_BACK_SECONDS = DEADLINE_SECONDS + 1.0

_log = get_logger(__name__)


class Resync:
    """`sleep` is passed in for tests."""

    def __init__(
        self,
        store: JobStore,
        engine: Engine,
        *,
        seconds: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._engine = engine
        self._seconds = seconds
        self._sleep = sleep
        self._seen_until: float | None = None

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self._sleep(self._seconds)
            try:
                await self.look()
            except StoreUnavailable as error:
                _log.warning("resync_failed", reason=str(error))

    async def look(self) -> int:
        """Push what is new; answers how many states that were."""
        since = self._seen_until if self._seen_until is not None else await self._now()
        written, now = await self._store.changed_since(since - LOOK_BACK_SECONDS)
        hub = self._engine.hub
        missed = [row.request_id for row in written if hub.lacks(row.request_id, row.version, row.group)]
        jobs = await self._store.get_many(missed)
        for job in jobs.values():
            self._engine.tell(job)
        self._seen_until = now
        if missed:
            _log.info("resynced", states=len(missed))
        return len(missed)

    async def _now(self) -> float:
        return (await self._store.changed_since(float("inf")))[1]
