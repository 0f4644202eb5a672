"""Submits requests to fal's queue and stores each as a job, once per idempotency key.

The intent is stored before fal is asked, and the webhook's URL names it: after a crash between fal's answer and its
commit, the webhook still finds the intent.
"""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Mapping
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
    StoreUnavailable,
    SubmitOutcomeUnknown,
)
from hookcast.fal.queue import FalQueue
from hookcast.jobs import Clock, Job, Registered, valid_request_id
from hookcast.journal import Event, Notebook
from hookcast.outcomes import Outcomes
from hookcast.store import Intent, JobStore, KeptInput, Standing
from hookcast.wire import State

TURN_SECONDS = 20.0
UNDER_WAY = timedelta(seconds=30)  # longer than the deadlines of the database (3 times 5 s) and of fal (10 s)
INTENT_ID_BYTES = 24


class Wish(Struct, frozen=True, kw_only=True):
    """A request to submit: the model's own input, fal's own request headers, the facts to register, and the caller."""

    endpoint_id: str
    input: Raw
    headers: Mapping[str, str]
    facts: Registered
    caller: str


class Submitted(NamedTuple):
    """The job of a submit, and its state if this submit has just published it."""

    job: Job
    state: State | None = None


class Submitter:
    """Submits requests. `queue` is None without a FAL_KEY, `webhook_url` is None without a public URL.

    `turns` holds a lock for each idempotency key in use, dropped with its last user. `outcomes` stores what an
    outage of the database left unstored. `keeps_inputs`: store each input with its submit, so that the job
    can be retried.
    """

    def __init__(
        self,
        store: JobStore,
        dispatcher: Dispatcher,
        outcomes: Outcomes,
        queue: FalQueue | None,
        *,
        webhook_url: str | None,
        clock: Clock,
        notebook: Notebook,
        keeps_inputs: bool = False,
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._queue = queue
        self._webhook_url = webhook_url
        self._clock = clock
        self._notebook = notebook
        self._keeps_inputs = keeps_inputs
        self.turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.outcomes = outcomes

    async def submit(
        self, wish: Wish, key: str | None = None, *, again: bool = False, shared: bool = False
    ) -> Submitted:
        """Submit the request and return its job, or the job that an earlier submit with the same key created.

        `again` submits again where the outcome of the earlier one is unknown. `shared`: the key is the server's own,
        and has the same job for all bodies and callers. Raises FalUnreachable, FalRejected, StoreUnavailable,
        IdempotencyMismatch, SubmitOutcomeUnknown, and IdempotencyConflict while another submit with the key is under
        way; one in this process is first waited for, up to `TURN_SECONDS`.
        """
        if self._queue is None:
            raise FalUnreachable("No FAL_KEY is set on the server, so nothing can be submitted to fal.")
        if key is None:
            return await self._once(self._queue, wish, self._intent(wish), again=False)
        async with self._turn(key):
            await self.outcomes.catch_up(key)
            return await self._once(self._queue, wish, self._intent(wish, key, shared=shared), again=again)

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

    def _intent(self, wish: Wish, key: str | None = None, *, shared: bool = False) -> Intent:
        now = self._clock()
        return Intent(
            id=secrets.token_urlsafe(INTENT_ID_BYTES),
            facts=wish.facts,
            asked_at=now,
            until=now + UNDER_WAY,
            key=key,
            caller=wish.caller,
            digest=None if key is None else _digest(wish),
            shared=shared,
            input=KeptInput(input=wish.input, headers=wish.headers) if self._keeps_inputs else None,
        )

    async def _once(self, queue: FalQueue, wish: Wish, intent: Intent, *, again: bool) -> Submitted:
        try:
            known = await self._store.submits.begin(intent, again=again)
        except StoreUnavailable:  # it may have been stored nevertheless
            self.outcomes.free_later(intent)
            raise
        if isinstance(known, Standing):
            raise _refusal(known)
        if known is not None:
            self._notebook.note(known.request_id, Event.REPEATED, by=wish.caller)
            return Submitted(known)
        return await self._ask(queue, wish, intent)

    async def _ask(self, queue: FalQueue, wish: Wish, intent: Intent) -> Submitted:
        url = None if self._webhook_url is None else f"{self._webhook_url}?submit={intent.id}"
        try:
            taken = await queue.submit(wish.endpoint_id, wish.input, webhook_url=url, headers=wish.headers)
            if not valid_request_id(taken.request_id):
                raise FalUnreachable("fal's answer has no valid request_id.")
        except FalError as error:
            await self._failed(intent, error)
            raise
        facts = replace(
            wish.facts,
            response_url=taken.response_url,
            status_url=taken.status_url,
            cancel_url=taken.cancel_url,
            queue_position=taken.queue_position,
        )
        try:
            change = await self._dispatcher.register(taken.request_id, facts, submit=intent.id)
        except StoreUnavailable as error:
            self.outcomes.store_later(intent, taken.request_id, facts)
            raise StoreUnavailable(
                f"fal accepted the request as {taken.request_id}, but it could not be stored yet. Do not submit it "
                "again: it is stored when the database is back. The same Idempotency-Key then returns it."
            ) from error
        return Submitted(change.after, change.state)

    async def _failed(self, intent: Intent, error: FalError) -> None:
        """Free the intent's key, or leave it to the webhook if fal may have accepted the request."""
        try:
            if error.maybe_taken:
                await self._store.submits.darken(intent.id, self._clock())
            else:
                await self._store.submits.release([intent.id])
        except StoreUnavailable:  # after the intent's `until`, its outcome counts as unknown anyway
            if not error.maybe_taken:
                self.outcomes.free_later(intent)


def _digest(wish: Wish) -> str:
    """Return a digest of the body: of its members as sent, regardless of their order and the whitespace in between."""
    facts = wish.facts
    labels = sorted((name, bytes(value).decode()) for name, value in facts.metadata.items())
    small: list[object] = [wish.endpoint_id, facts.owner, facts.group, labels, sorted(wish.headers.items())]
    if facts.keep is not None:  # keys from before this member existed keep their digests
        small.append(facts.keep)
    if facts.retry_of is not None:
        small.append(facts.retry_of)
    found = hashlib.sha256(msgspec.json.encode(small))
    found.update(wish.input)
    return found.hexdigest()


def _refusal(standing: Standing) -> HookcastError:
    match standing:
        case Standing.UNDER_WAY:
            return IdempotencyConflict("Another request with this Idempotency-Key is in progress; try again shortly.")
        case Standing.OF_ANOTHER:
            return IdempotencyMismatch(
                "This Idempotency-Key was sent before with another body or by another caller; use a new key."
            )
        case Standing.IN_THE_DARK:
            return SubmitOutcomeUnknown(
                "fal may have accepted the first request with this Idempotency-Key. If it did, its webhook creates the "
                "job, and the key returns it. To submit again anyway, send Idempotency-Retry: yes."
            )
