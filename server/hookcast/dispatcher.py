"""The only writer: every change of a job goes through advance → commit → publish, in this order."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Literal, Protocol

from msgspec.structs import replace

from hookcast.bus import Bus
from hookcast.consequences import Cause, Start, consequences
from hookcast.crowd import Crowd
from hookcast.errors import StoreUnavailable
from hookcast.eventtypes import EventType
from hookcast.jobs import Clock, Completed, EndedBy, Job, Kept, Registered, Relinked, Update, unseen
from hookcast.journal import Happening, lines_of
from hookcast.keeping import Keeping, named_files
from hookcast.logs import get_logger
from hookcast.store import Change, Effects, Intent, JobStore, Joining
from hookcast.transitions import advance, joined, registered
from hookcast.wire import LARGE_BYTES, Show, encode

Source = Literal["webhook", "fal", "hookcast"]
"""The source of a change: fal's webhook, fal's answer to a request, or Hookcast itself (a time limit)."""

_ENDED_BY: Mapping[Source, EndedBy] = {
    "webhook": EndedBy.WEBHOOK,
    "fal": EndedBy.ASKED,
    "hookcast": EndedBy.TIMEOUT,
}
_log = get_logger(__name__)


class Step(Protocol):
    """Makes the next state of a job: of one that a submit made, with its intent."""

    def __call__(self, job: Job | None, intent: Intent | None = None) -> Job:
        """Return the next state."""
        ...


def _size(update: Update, also: tuple[Start, ...]) -> int:
    """Return about how many bytes a change writes: its result, and webhooks to pass on."""
    result = len(update.result) if isinstance(update, (Completed, Kept, Relinked)) else 0
    return result + sum(len(start.facts) for start in also)


def _makes_a_job(update: Update, source: Source) -> bool:
    """Return whether an unknown job begins with this: other reports are of jobs removed since fal was asked."""
    return source == "webhook" or isinstance(update, Registered)


def _happening(update: Update, source: Source, now: datetime, by: str | None, intent: Intent | None) -> Happening:
    if intent is None:
        return Happening(update, source, now, by)
    return Happening(update, source, now, intent.caller, intent.asked_at, intent.key is not None)


class Dispatcher:
    """Applies updates. The store's transactions order concurrent reports on a job.

    `show` makes the states, `keeping` says whose files are kept; None = nobody's. `tells` are the events that the
    backend is told. `ended` counts the jobs that became terminal here, by status and source; `crowd`
    has the updates under way.
    """

    def __init__(
        self,
        store: JobStore,
        bus: Bus,
        clock: Clock,
        show: Show = encode,
        keeping: Keeping | None = None,
        *,
        tells: frozenset[EventType] = frozenset(),
    ) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self._show = show
        self._keeping = keeping
        self._tells = tells
        self.crowd = Crowd()
        self.ended: Counter[tuple[str, Source]] = Counter()
        self._listeners: list[Callable[[], None]] = []

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` when a change has committed durable work. It may neither block nor raise."""
        self._listeners.append(listener)

    async def apply(
        self,
        request_id: str,
        update: Update,
        source: Source = "fal",
        *,
        submit: str | None = None,
        patience: float = 0.0,
        by: str | None = None,
        at: datetime | None = None,
        also: tuple[Start, ...] = (),
    ) -> Change:
        """Apply `update` to the job (created if needed), commit it, then publish the new state.

        `submit` is the id of the submit that made the job: unless it already has another job, this one gets its facts.
        The work that the change causes and its lines of the journal are committed with it, and so is the work `also`,
        even when nothing changes. A result is not fetched for `patience` seconds, so that its webhook can come first.
        `by` names the caller that asked for the change, `at` is when the report arrived; by default now.

        Raises StoreUnavailable: it is then unknown whether the change was committed, and the update may be repeated.
        """
        named = await self._with_files(update)
        step = self._step(request_id, update, named, source, at)
        effects = self._effects(update, source, by, patience, also)
        joining = None if submit is None else Joining(submit, step)
        with self.crowd:
            revives = isinstance(update, Registered)
            size = _size(update, also)
            change = await self._store.change(request_id, step, joining, effects, revives=revives, size=size)
        return await self._announced(change, source)

    def _step(self, request_id: str, update: Update, named: Update, source: Source, at: datetime | None) -> Step:
        """Return the function that makes the next state of the job; `named` is the update with its files."""

        def step(job: Job | None, intent: Intent | None = None) -> Job:
            now = at or self._clock()
            by = _ENDED_BY[source]
            known = job or unseen(request_id, now=now if intent is None else intent.asked_at)
            if job is None and not _makes_a_job(update, source):
                return known
            if intent is None:
                return advance(known, self._chosen(known, update, named), now=now, by=by)
            told = self._chosen(registered(known, intent.facts), update, named)
            return joined(known, intent.facts, told, now=now, by=by)

        return step

    def _effects(
        self, update: Update, source: Source, by: str | None, patience: float, also: tuple[Start, ...]
    ) -> Callable[[Job | None, Job, Intent | None], Effects]:
        """Return the function that says what is committed with a change."""

        def effects(before: Job | None, after: Job, intent: Intent | None) -> Effects:
            # Now, not `at`: a journal has the order in which its job changed.
            happening = _happening(update, source, self._clock(), by, intent)
            cause = Cause(before, after, update, patience, self._tells, also)
            return Effects(consequences(cause), lines_of(before, after, happening))

        return effects

    async def _announced(self, change: Change, source: Source) -> Change:
        """Publish a committed change, and return it with its state."""
        job = change.after
        if change.ended:
            self.ended[job.status, source] += 1
        if change.changed:
            state = self._show(job)
            change = replace(change, state=state)
            await self._bus.publish(state)
            _log.debug("job_changed", request_id=job.request_id, status=job.status, version=job.version)
        if change.caused.starts:
            self.work_waits()
        return change

    def work_waits(self) -> None:
        """Tell the listeners that durable work has been committed."""
        for listener in self._listeners:
            listener()

    async def _with_files(self, update: Update) -> Update:
        """Return the update with the files that its result names, where files are kept."""
        if self._keeping is None or not isinstance(update, Completed):
            return update
        if len(update.result) <= LARGE_BYTES:
            return replace(update, media=named_files(update.result))
        return replace(update, media=await asyncio.to_thread(named_files, update.result))

    def _chosen(self, job: Job, update: Update, named: Update) -> Update:
        """Return `named` if the files of this job are kept, else `update`."""
        return named if self._keeping is not None and self._keeping.wants(job) else update

    async def register(
        self, request_id: str, facts: Registered, *, submit: str | None = None, by: str | None = None
    ) -> Change:
        """Apply `facts`, adding the endpoint's usual duration; a job keeps the first one it gets."""
        if facts.endpoint_id is not None:
            facts = replace(facts, expected_seconds=await self._usual_seconds(facts.endpoint_id))
        return await self.apply(request_id, facts, submit=submit, by=by)

    async def _usual_seconds(self, endpoint_id: str) -> float | None:
        """Return the endpoint's usual duration; None also when it cannot be read, which must not fail a job."""
        try:
            return await self._store.durations.usual_seconds(endpoint_id)
        except StoreUnavailable as error:
            _log.warning("usual_seconds_not_read", endpoint_id=endpoint_id, reason=str(error))
            return None
