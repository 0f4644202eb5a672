"""The only writer: every change of a job goes through advance → commit → publish, in this order."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Literal

from msgspec.structs import replace

from hookcast.bus import Bus
from hookcast.consequences import Cause, Consequences, consequences
from hookcast.errors import StoreUnavailable
from hookcast.jobs import Clock, EndedBy, Job, Registered, Update, unseen
from hookcast.logs import get_logger
from hookcast.store import Change, Intent, JobStore, Joining
from hookcast.transitions import advance, joined
from hookcast.wire import encode

Source = Literal["webhook", "fal", "hookcast"]
"""The source of a change: fal's webhook, fal's answer to a request, or Hookcast itself (a time limit)."""

_ENDED_BY: Mapping[Source, EndedBy] = {
    "webhook": EndedBy.WEBHOOK,
    "fal": EndedBy.ASKED,
    "hookcast": EndedBy.TIMEOUT,
}
_log = get_logger(__name__)


class Dispatcher:
    """Applies updates. The store's transactions order concurrent reports on a job.

    `ended` counts the jobs that became terminal here, by status and source.
    """

    def __init__(self, store: JobStore, bus: Bus, clock: Clock) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
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
    ) -> Change:
        """Apply `update` to the job (created if needed), commit it, then publish the new state.

        `submit` is the id of the submit that made the job: unless it already has another job, this one gets its facts.
        The work that the change causes is committed with it; a result is not fetched for `patience` seconds, so that
        its webhook can come first. Raises StoreUnavailable: it is then unknown whether the change was committed, and
        the update may be repeated.
        """

        def step(job: Job | None, intent: Intent | None = None) -> Job:
            now = self._clock()
            by = _ENDED_BY[source]
            if intent is None:
                return advance(job or unseen(request_id, now=now), update, now=now, by=by)
            return joined(job or unseen(request_id, now=intent.asked_at), intent.facts, update, now=now, by=by)

        def causes(before: Job | None, after: Job) -> Consequences:
            return consequences(Cause(before, after, update, patience))

        joining = None if submit is None else Joining(submit, step)
        change = await self._store.change(request_id, step, joining, causes)
        if change.ended:
            self.ended[change.after.status, source] += 1
        if change.changed:
            await self._bus.publish(encode(change.after))
            _log.debug("job_changed", request_id=request_id, status=change.after.status, version=change.after.version)
        if change.caused.starts:
            for listener in self._listeners:
                listener()
        return change

    async def register(self, request_id: str, facts: Registered) -> Change:
        """Apply `facts`, adding the endpoint's usual duration; a job keeps the first one it gets."""
        if facts.endpoint_id is not None:
            facts = replace(facts, expected_seconds=await self.usual_seconds(facts.endpoint_id))
        return await self.apply(request_id, facts)

    async def usual_seconds(self, endpoint_id: str) -> float | None:
        """Return the endpoint's usual duration; None also when it cannot be read, which must not fail a job."""
        try:
            return await self._store.usual_seconds(endpoint_id)
        except StoreUnavailable as error:
            _log.warning("usual_seconds_not_read", endpoint_id=endpoint_id, reason=str(error))
            return None
