"""Outcomes of submits that the database could not store: kept in memory until it can, or the process ends.

Nothing depends on them: if they are lost, the webhook creates the job and finds the intent in the database.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from hookcast.dispatcher import Dispatcher
from hookcast.errors import NotStorable, StoreUnavailable
from hookcast.jobs import Registered
from hookcast.logs import get_logger
from hookcast.store import Intent, JobStore

EVERY_SECONDS = 1.0
MAX_PAUSE_SECONDS = 15.0
MAX_UNTAKEN = 5000

_log = get_logger(__name__)


class Unstored(NamedTuple):
    """A job that fal has accepted and the database has not stored."""

    key: str | None
    request_id: str
    facts: Registered


class Outcomes:
    """The outcomes still to be stored. `sleep` is injected for tests.

    `unstored` has jobs, by intent: at most those in progress when an outage begins. `untaken` has failed intents, by
    idempotency key: at most `MAX_UNTAKEN`; the outcome of any other key becomes unknown.
    """

    def __init__(
        self,
        store: JobStore,
        dispatcher: Dispatcher,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._sleep = sleep
        self._wake = asyncio.Event()
        self.unstored: dict[str, Unstored] = {}
        self.untaken: dict[str, str] = {}

    async def run(self) -> None:
        """Store everything once the database is back, until cancelled."""
        pause = EVERY_SECONDS
        while True:
            await self._wake.wait()
            await self._sleep(pause * random.uniform(0.75, 1.0))  # noqa: S311
            storing = [self._try_to_store(*each) for each in self.unstored.items()]
            await asyncio.gather(self._try_to_free(), *storing)
            waiting = bool(self.unstored or self.untaken)
            pause = min(pause * 2, MAX_PAUSE_SECONDS) if waiting else EVERY_SECONDS
            if not waiting:
                self._wake.clear()

    def store_later(self, intent: Intent, request_id: str, facts: Registered) -> None:
        """Remember a job that fal has accepted."""
        self.unstored[intent.id] = Unstored(intent.key, request_id, facts)
        self._wake.set()

    def free_later(self, intent: Intent) -> None:
        """Remember to free the key of a failed intent."""
        if intent.key is not None and len(self.untaken) < MAX_UNTAKEN:
            self.untaken[intent.key] = intent.id
            self._wake.set()

    async def catch_up(self, key: str) -> None:
        """Store the outcome for the key now, if there is one. Raises StoreUnavailable."""
        if key in self.untaken:
            await self._free([key])
        for intent_id, unstored in list(self.unstored.items()):
            if unstored.key == key:
                await self._store_job(intent_id, unstored)

    async def _try_to_free(self) -> None:
        with suppress(StoreUnavailable):
            await self._free(list(self.untaken))

    async def _free(self, keys: Sequence[str]) -> None:
        intents = {key: self.untaken[key] for key in keys}
        await self._store.submits.release(list(intents.values()))
        for key, intent_id in intents.items():
            if self.untaken.get(key) == intent_id:
                del self.untaken[key]

    async def _try_to_store(self, intent_id: str, unstored: Unstored) -> None:
        try:
            await self._store_job(intent_id, unstored)
        except NotStorable as error:
            self.unstored.pop(intent_id, None)
            _log.error("submit_not_stored", request_id=unstored.request_id, reason=str(error))
        except StoreUnavailable:
            pass  # later

    async def _store_job(self, intent_id: str, unstored: Unstored) -> None:
        await self._dispatcher.apply(unstored.request_id, unstored.facts, submit=intent_id)
        self.unstored.pop(intent_id, None)
