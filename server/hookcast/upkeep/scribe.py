"""Writes what no change of a job writes: noted lines of the journal, and refused webhooks, together twice a second."""

import asyncio
from collections.abc import Awaitable, Callable

from hookcast.errors import StoreUnavailable
from hookcast.journal import Notebook, Refusals
from hookcast.logs import get_logger
from hookcast.store import JobStore
from hookcast.tasks import repeat

EVERY_SECONDS = 0.5
MAX_PAUSE_SECONDS = 10.0
PORTION = 500  # lines per transaction, so that other writers wait for a few milliseconds only
LAST_SECONDS = 2.0  # for the lines that are left when the node ends

_log = get_logger(__name__)


class Scribe:
    """Writes the lines and the refusals of one node. `sleep` is injected for tests."""

    def __init__(
        self,
        store: JobStore,
        notebook: Notebook,
        refusals: Refusals,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self.notebook = notebook
        self.refusals = refusals
        self._sleep = sleep
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """Write until cancelled, then write what is left."""
        try:
            await repeat(
                self.write, lambda: EVERY_SECONDS, self._sleep, failed="journal_not_written", longest=MAX_PAUSE_SECONDS
            )
        finally:
            await self._last()

    async def write(self) -> None:
        """Write everything that has been noted. Raises StoreUnavailable; then it is kept, as far as there is room."""
        async with self._turn:
            while lines := self.notebook.take(PORTION):
                try:
                    await self._store.journal.add(lines)
                except BaseException:
                    self.notebook.put_back(lines)
                    raise
            await self._write_refusals()
        if dropped := self.notebook.dropped:
            self.notebook.dropped = 0
            _log.warning("journal_lines_dropped", count=dropped)

    async def _write_refusals(self) -> None:
        refusals = self.refusals.take()
        if not refusals:
            return
        try:
            await self._store.journal.add_refusals(refusals)
        except BaseException:
            self.refusals.put_back(refusals)
            raise

    async def _last(self) -> None:
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await self.write()
        except (StoreUnavailable, TimeoutError) as error:
            _log.warning("journal_not_written", reason=str(error), lines=len(self.notebook))
