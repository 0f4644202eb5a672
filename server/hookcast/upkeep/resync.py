"""Pushes the states that the bus did not deliver.

Once a second the node queries what was written since its last check, and pushes what its subscribers have not seen: one
indexed query, whatever the number of subscribers.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from hookcast.logs import get_logger
from hookcast.push.hub import Hub
from hookcast.push.subscriptions import Subscriptions
from hookcast.store import JobStore, Written
from hookcast.store.base import DEADLINE_SECONDS
from hookcast.tasks import repeat

# The store returns the start of the next query. This margin covers clocks that are set back, and costs little.
LOOK_BACK_SECONDS = DEADLINE_SECONDS + 1.0
CHUNK = 100  # jobs read at once

_log = get_logger(__name__)


class Resync:
    """Pushes missed states. `sleep` and `clock` (monotonic seconds) are injected for tests."""

    def __init__(
        self,
        store: JobStore,
        hub: Hub,
        subscriptions: Subscriptions,
        *,
        seconds: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._hub = hub
        self._subscriptions = subscriptions
        self._seconds = seconds
        self._sleep = sleep
        self._clock = clock
        self._begun = clock()
        self._seen_until: float | None = None

    async def run(self) -> None:
        """Check every `seconds` until cancelled."""
        await repeat(self.look, lambda: self._seconds, self._sleep, failed="resync_failed")

    async def look(self) -> int:
        """Push the states that were missed; return how many."""
        since = self._seen_until if self._seen_until is not None else await self._beginning()
        written, until = await self._store.changed_since(since - LOOK_BACK_SECONDS)
        self._hub.begin_feeds(since)  # those that are new have been joined since the last check
        missed = [row for row in written if self._hub.lacks(row)]
        for start in range(0, len(missed), CHUNK):
            await self._tell({row.request_id: row for row in missed[start : start + CHUNK]})
        self._seen_until = until
        if missed:
            _log.info("resynced", states=len(missed))
        return len(missed)

    async def _tell(self, missed: dict[str, Written]) -> None:
        """Push these jobs; the large ones are read one by one."""
        for job, left_out in await self._store.outlines(missed):
            if self._hub.lacks(missed[job.request_id]._replace(version=job.version)):
                whole = await self._store.whole(job.request_id) if left_out else job
                if whole is not None:
                    self._subscriptions.tell(whole)

    async def _beginning(self) -> float:
        """Return the time at which this node started, by the database's clock.

        Streams may be open since then, however late the first check is.
        """
        return (await self._store.changed_since(float("inf")))[1] - (self._clock() - self._begun)
