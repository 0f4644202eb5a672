"""Submits requests to fal's queue and stores each as a job. The same idempotency key submits only once."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from msgspec import Raw, Struct
from msgspec.structs import replace

from hookcast.dispatcher import Dispatcher
from hookcast.errors import FalError, FalUnreachable, IdempotencyConflict, StoreUnavailable
from hookcast.fal.queue import FalQueue
from hookcast.jobs import Clock, Job, Registered, valid_request_id
from hookcast.store import JobStore

TURN_SECONDS = 20.0


class Wish(Struct, frozen=True, kw_only=True):
    """A request to submit: the model's own input, fal's own request headers, and the facts to register."""

    endpoint_id: str
    input: Raw
    headers: Mapping[str, str]
    facts: Registered


class Submitter:
    """Submits requests. `queue` is None without a FAL_KEY, `webhook_url` is None without a public URL.

    `turns` holds a lock for each idempotency key in use, dropped with its last user. `taken` maps idempotency keys to
    the requestIds that fal accepted while the database was unavailable, until the next keyed submit stores them.
    """

    def __init__(
        self, store: JobStore, dispatcher: Dispatcher, queue: FalQueue | None, *, webhook_url: str | None, clock: Clock
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._queue = queue
        self._webhook_url = webhook_url
        self._clock = clock
        self.turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.taken: dict[str, str] = {}

    async def submit(self, wish: Wish, key: str | None = None) -> Job:
        """Submit the request and return its job, or the job that an earlier submit with the same key created.

        Raises FalUnreachable, FalRejected, StoreUnavailable, and IdempotencyConflict while another submit with the key
        is in progress; one in this process is first waited for, up to `TURN_SECONDS`.
        """
        if key is None:
            return await self._ask(wish, None)
        async with self._turn(key):
            return await self._once(wish, key)

    @asynccontextmanager
    async def _turn(self, key: str) -> AsyncIterator[None]:
        """Serialize submits that share a key."""
        lock = self.turns.setdefault(key, asyncio.Lock())
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await lock.acquire()
        except TimeoutError:
            raise _conflict() from None
        try:
            yield
        finally:
            lock.release()

    async def _once(self, wish: Wish, key: str) -> Job:
        # Settle every key, since its client may never retry. While the database is unavailable this raises before fal
        # is called, so `taken` never exceeds the number of submits in progress when the outage began.
        for earlier, request_id in list(self.taken.items()):
            await self._store.settle(earlier, request_id)
            self.taken.pop(earlier, None)
        ours, known = await self._store.claim(key, now=self._clock())
        if known is not None:
            job = await self._store.get(known)
            return job or (await self._dispatcher.register(known, wish.facts)).after
        if not ours:
            raise _conflict()
        try:
            return await self._ask(wish, key)
        except FalError:
            await self._store.release(key)
            raise

    async def _ask(self, wish: Wish, key: str | None) -> Job:
        if self._queue is None:
            raise FalUnreachable("No FAL_KEY is set on the server, so nothing can be submitted to fal.")
        taken = await self._queue.submit(
            wish.endpoint_id, wish.input, webhook_url=self._webhook_url, headers=wish.headers
        )
        if not valid_request_id(taken.request_id):
            raise FalUnreachable("fal's answer names a request_id that cannot be a job's name.")
        facts = replace(
            wish.facts,
            response_url=taken.response_url,
            status_url=taken.status_url,
            cancel_url=taken.cancel_url,
            queue_position=taken.queue_position,
        )
        try:
            if key is not None:
                await self._settle(key, taken.request_id)
            return (await self._dispatcher.register(taken.request_id, facts)).after
        except StoreUnavailable as error:
            raise StoreUnavailable(
                f"fal took the request as {taken.request_id}, but it could not be stored; "
                "register it with PUT when the database is back."
            ) from error

    async def _settle(self, key: str, request_id: str) -> None:
        try:
            await self._store.settle(key, request_id)
        except StoreUnavailable:
            self.taken[key] = request_id
            raise


def _conflict() -> IdempotencyConflict:
    return IdempotencyConflict("Another request with this Idempotency-Key is being answered; try again shortly.")
