"""Submits requests to fal's queue and stores each as a job, once per idempotency key.

The intent is stored before fal is asked, and the webhook's URL names it: whatever dies between fal's answer and its
commit, the webhook finds what was intended.
"""

import asyncio
import hashlib
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import NamedTuple
from weakref import WeakValueDictionary

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from hookcast.dispatcher import Dispatcher
from hookcast.errors import (
    FalError,
    FalUnreachable,
    HookcastError,
    IdempotencyConflict,
    IdempotencyMismatch,
    NotStorable,
    StoreUnavailable,
    SubmitOutcomeUnknown,
)
from hookcast.fal.queue import FalQueue
from hookcast.jobs import Clock, Job, Registered, valid_request_id
from hookcast.logs import get_logger
from hookcast.store import Intent, JobStore, Standing

TURN_SECONDS = 20.0
UNDER_WAY = timedelta(seconds=30)  # longer than the deadlines of the database (3 times 5 s) and of fal (10 s)
INTENT_ID_BYTES = 24
STORE_EVERY_SECONDS = 1.0
MAX_PAUSE_SECONDS = 15.0

_log = get_logger(__name__)


class Wish(Struct, frozen=True, kw_only=True):
    """A request to submit: the model's own input, fal's own request headers, the facts to register, and who asks."""

    endpoint_id: str
    input: Raw
    headers: Mapping[str, str]
    facts: Registered
    caller: str


class Unstored(NamedTuple):
    """What became of a submit, while the database is away: fal took it as `request_id`, or (None) not at all."""

    intent: Intent
    request_id: str | None
    facts: Registered


class Submitter:
    """Submits requests. `queue` is None without a FAL_KEY, `webhook_url` is None without a public URL.

    `turns` holds a lock for each idempotency key in use, dropped with its last user. `unstored` has the outcomes that
    could not be stored, by intent; the database was there before each, so they are those of one outage.
    """

    def __init__(
        self,
        store: JobStore,
        dispatcher: Dispatcher,
        queue: FalQueue | None,
        *,
        webhook_url: str | None,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._queue = queue
        self._webhook_url = webhook_url
        self._clock = clock
        self._sleep = sleep
        self._wake = asyncio.Event()
        self.turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.unstored: dict[str, Unstored] = {}

    async def run(self) -> None:
        """Store what could not be stored, as soon as the database is back, until cancelled."""
        pause = STORE_EVERY_SECONDS
        while True:
            await self._wake.wait()
            await self._sleep(pause * random.uniform(0.75, 1.0))  # noqa: S311
            await asyncio.gather(*map(self._try_to_store, list(self.unstored.values())))
            pause = min(pause * 2, MAX_PAUSE_SECONDS) if self.unstored else STORE_EVERY_SECONDS
            if not self.unstored:
                self._wake.clear()

    async def submit(self, wish: Wish, key: str | None = None, *, again: bool = False) -> Job:
        """Submit the request and return its job, or the job that an earlier submit with the same key created.

        `again` submits anew where the outcome of the earlier one is unknown. Raises FalUnreachable, FalRejected,
        StoreUnavailable, IdempotencyMismatch, SubmitOutcomeUnknown, and IdempotencyConflict while another submit with
        the key is under way; one in this process is first waited for, up to `TURN_SECONDS`.
        """
        if self._queue is None:
            raise FalUnreachable("No FAL_KEY is set on the server, so nothing can be submitted to fal.")
        if key is None:
            return await self._once(self._queue, wish, None, again=False)
        async with self._turn(key):
            return await self._once(self._queue, wish, key, again=again)

    @asynccontextmanager
    async def _turn(self, key: str) -> AsyncIterator[None]:
        """Serialize submits that share a key."""
        lock = self.turns.setdefault(key, asyncio.Lock())
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await lock.acquire()
        except TimeoutError:
            raise _refusal(Standing.UNDER_WAY) from None
        try:
            yield
        finally:
            lock.release()

    async def _once(self, queue: FalQueue, wish: Wish, key: str | None, *, again: bool) -> Job:
        for unstored in list(self.unstored.values()):
            if key is not None and unstored.intent.key == key:
                await self._store_late(unstored)
        now = self._clock()
        intent = Intent(
            id=secrets.token_urlsafe(INTENT_ID_BYTES),
            facts=wish.facts,
            asked_at=now,
            until=now + UNDER_WAY,
            key=key,
            caller=wish.caller,
            digest=None if key is None else _digest(wish),
        )
        known = await self._store.submits.begin(intent, again=again)
        if isinstance(known, Standing):
            raise _refusal(known)
        return known or await self._ask(queue, wish, intent)

    async def _ask(self, queue: FalQueue, wish: Wish, intent: Intent) -> Job:
        facts = replace(wish.facts, expected_seconds=await self._dispatcher.usual_seconds(wish.endpoint_id))
        url = None if self._webhook_url is None else f"{self._webhook_url}?submit={intent.id}"
        try:
            taken = await queue.submit(wish.endpoint_id, wish.input, webhook_url=url, headers=wish.headers)
            if not valid_request_id(taken.request_id):
                raise FalUnreachable("fal's answer names a request_id that cannot be a job's name.")
        except FalError as error:
            await self._failed(intent, error)
            raise
        facts = replace(
            facts,
            response_url=taken.response_url,
            status_url=taken.status_url,
            cancel_url=taken.cancel_url,
            queue_position=taken.queue_position,
        )
        try:
            return (await self._dispatcher.apply(taken.request_id, facts, submit=intent.id)).after
        except StoreUnavailable as error:
            self._keep(Unstored(intent, taken.request_id, facts))
            raise StoreUnavailable(
                f"fal took the request as {taken.request_id}, but it could not be stored yet. Do not submit it again: "
                "it is stored when the database is back. The same Idempotency-Key returns it then."
            ) from error

    async def _failed(self, intent: Intent, error: FalError) -> None:
        """Free the intent's key, or leave it to the webhook if fal may have taken the request."""
        try:
            if error.maybe_taken:
                await self._store.submits.darken(intent.id, self._clock())
            else:
                await self._store.submits.release(intent.id)
        except StoreUnavailable:  # the intent counts as in the dark after its `until` by itself
            if not error.maybe_taken:
                self._keep(Unstored(intent, None, intent.facts))

    def _keep(self, unstored: Unstored) -> None:
        self.unstored[unstored.intent.id] = unstored
        self._wake.set()

    async def _try_to_store(self, unstored: Unstored) -> None:
        try:
            await self._store_late(unstored)
        except NotStorable as error:  # its webhook still finds the intent
            self.unstored.pop(unstored.intent.id, None)
            _log.error("submit_not_stored", request_id=unstored.request_id, reason=str(error))
        except StoreUnavailable:
            pass  # later

    async def _store_late(self, unstored: Unstored) -> None:
        if unstored.request_id is None:
            await self._store.submits.release(unstored.intent.id)
        else:
            await self._dispatcher.apply(unstored.request_id, unstored.facts, submit=unstored.intent.id)
        self.unstored.pop(unstored.intent.id, None)


def _digest(wish: Wish) -> str:
    """Return what identifies the body: its members as sent, whatever their order and the white space in between."""
    facts = wish.facts
    labels = sorted((name, bytes(value).decode()) for name, value in facts.metadata.items())
    small = [wish.endpoint_id, facts.owner, facts.group, labels, sorted(wish.headers.items())]
    found = hashlib.sha256(msgspec.json.encode(small))
    found.update(wish.input)
    return found.hexdigest()


def _refusal(standing: Standing) -> HookcastError:
    match standing:
        case Standing.UNDER_WAY:
            return IdempotencyConflict(
                "Another request with this Idempotency-Key is being answered; try again shortly."
            )
        case Standing.OF_ANOTHER:
            return IdempotencyMismatch(
                "This Idempotency-Key was sent before with another body or by another caller; use a new key."
            )
        case Standing.IN_THE_DARK:
            return SubmitOutcomeUnknown(
                "fal may have taken the first request with this Idempotency-Key. If it did, its webhook creates the "
                "job, and the key returns it. To submit once more all the same, send Idempotency-Retry: yes."
            )
