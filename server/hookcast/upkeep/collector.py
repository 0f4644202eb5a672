"""Fetches results from fal: for webhooks with `payload_error`, and for jobs whose webhook did not arrive.

It is the handler of the work `fetch`. When fal answers with anything but a result, its status shows whether the job has
failed for good. Attempts end after an hour: fal keeps results no longer.
"""

import asyncio
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct

from hookcast.dispatcher import Dispatcher
from hookcast.errors import (
    EndpointUnknown,
    FalError,
    FalRejected,
    FalUnreachable,
    NotStorable,
    StoreUnavailable,
    UnusableResult,
)
from hookcast.fal.answers import Status, failed
from hookcast.fal.calls import TooLarge
from hookcast.fal.sentences import sentence
from hookcast.jobs import Cancelled, Clock, Completed, Failed, Job
from hookcast.journal import Event
from hookcast.logs import get_logger
from hookcast.store import JobStore, Piece
from hookcast.upkeep.asking import Asking, Doubt
from hookcast.upkeep.worker import Done, Later, Outcome

KEPT_FOR = timedelta(hours=1)
MISSING_FOR = timedelta(minutes=5)  # for a result that is refused although fal has finished: it may only be late
UNUSABLE_TIMES = 2  # a single one may have been truncated in transit
MAX_PAUSE_SECONDS = 30.0
MAX_AT_ONCE = 64
LARGE_BYTES = 256 * 1024  # of a result, which is in memory a few times while it is stored
MAX_LARGE = 2  # of these at once
MAX_SECONDS = 600.0  # of one attempt: more than all deadlines of its requests, and the wait for those of MAX_LARGE
GONE = "The result could not be fetched: fal keeps results for an hour at most. Submit the job again."

NOT_STORABLE = "fal has finished the job, but the server's database cannot store its result."
_GAVE_UP = Failed(error=GONE)
# Not the job's outcome: the URL moved, the key is wrong, fal is busy, or fal or the result is unavailable.
_PASSING = frozenset({429, 502, 503, 504})
_NOT_THE_OUTCOME = _PASSING | {*range(300, 400), 401, 403, 404, 408}
_UNFINISHED = frozenset({400, 409, 425})  # also fal's answers while the request is in progress
_log = get_logger(__name__)


class _Fetch(Struct, omit_defaults=True):
    """The facts of a fetch: the last pause, and the findings so far. `since` is the time of the first attempt."""

    pause: float = 0.0
    since: datetime | None = None
    unusable: int = 0
    doubt: Doubt | None = None


def _read(facts: str) -> _Fetch:
    """Return the facts. Those that cannot be read count as none: the job must have an end."""
    try:
        return msgspec.json.decode(facts, type=_Fetch)
    except msgspec.DecodeError:
        return _Fetch()


class Collector:
    """Fetches results, retrying until the job ends."""

    def __init__(self, store: JobStore, dispatcher: Dispatcher, fal: Asking, *, clock: Clock) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._fal = fal
        self._clock = clock
        self._large = asyncio.Semaphore(MAX_LARGE)

    async def fetch(self, piece: Piece) -> Outcome:
        """Fetch and store the outcome of a job once; it is Done when the job needs no further attempt."""
        fetch = _read(piece.facts)
        fetch.since = fetch.since or self._clock()
        try:
            if await self._attempt(piece.request_id, fetch):
                return Done()
        except StoreUnavailable as error:
            _log.warning("result_not_stored", request_id=piece.request_id, reason=str(error))
        fetch.pause = min(max(fetch.pause, 0.5) * 2, MAX_PAUSE_SECONDS)
        return Later(fetch.pause, msgspec.json.encode(fetch).decode())

    async def _attempt(self, request_id: str, fetch: _Fetch) -> bool:
        job = await self._store.get(request_id)
        if job is None or job.status.terminal:
            return True
        try:
            return await self._ended(job, fetch, LARGE_BYTES)
        except TooLarge:
            async with self._large:
                return await self._ended(job, fetch, None)

    async def _ended(self, job: Job, fetch: _Fetch, most: int | None) -> bool:
        """Ask for the outcome, and store it; return False if there is none yet. Raises TooLarge beyond `most` bytes."""
        outcome = await self._outcome(job, fetch, most)
        if outcome is not None:
            await self._end(job.request_id, outcome)
        return outcome is not None

    async def _end(self, request_id: str, outcome: Completed | Failed | Cancelled) -> None:
        try:
            await self._dispatcher.apply(request_id, outcome, "hookcast" if outcome is _GAVE_UP else "fal")
        except NotStorable as error:
            _log.error("result_not_storable", request_id=request_id, reason=str(error))
            await self._dispatcher.apply(request_id, Failed(error=NOT_STORABLE))

    async def _outcome(self, job: Job, fetch: _Fetch, most: int | None) -> Completed | Failed | Cancelled | None:
        try:
            result = await self._fal.queue.result(job, most=most)
            self._fal.notebook.note(job.request_id, Event.FETCHED, answer="result")
            return Completed(result=result)
        except UnusableResult as error:
            fetch.unusable += 1
            if fetch.unusable >= UNUSABLE_TIMES:
                return Failed(error=str(error))
            trouble: FalError = error
        except (FalRejected, FalUnreachable) as error:
            trouble = error
        self._fal.notebook.note(job.request_id, Event.FETCHED, answer=str(trouble))
        rejected = trouble if isinstance(trouble, FalRejected) and not isinstance(trouble, UnusableResult) else None
        missing = rejected is not None and rejected.fal_status == 404
        told = await self._told(job, fetch, missing=missing)
        if isinstance(told, (Failed, Cancelled)):
            return told
        if _final(rejected, told):
            return failed(rejected, told)
        _log.warning("result_not_fetched", request_id=job.request_id, reason=str(trouble))
        return self._overdue(job, fetch, rejected, told)

    async def _told(self, job: Job, fetch: _Fetch, *, missing: bool) -> Status | Failed | Cancelled | None:
        """Return fal's status of the job, else None; with a `missing` result also its end when fal does not know it."""
        fetch.doubt = fetch.doubt or Doubt()
        try:
            return await (self._fal.status(job, fetch.doubt) if missing else self._fal.queue.status(job))
        except (FalRejected, FalUnreachable) as error:
            _log.info("status_not_told", request_id=job.request_id, reason=str(error))
            return None

    def _overdue(self, job: Job, fetch: _Fetch, rejected: FalRejected | None, told: Status | None) -> Failed | None:
        """Return the failure of a job whose result is no longer available."""
        spent = self._clock() - min(fetch.since or job.updated_at, job.updated_at)
        missing = rejected is not None and rejected.fal_status not in _PASSING and told is not None and told.finished
        if spent <= (MISSING_FOR if missing else KEPT_FOR):
            return None
        if missing and rejected is not None and rejected.fal_status != 404:
            return failed(rejected, told)
        return Failed(error=str(rejected)) if isinstance(rejected, EndpointUnknown) else _GAVE_UP


def _final(rejected: FalRejected | None, told: Status | None) -> bool:
    """Return whether these answers are the job's outcome, which no later attempt changes."""
    finished = told is not None and told.finished
    if finished and told is not None and told.error is not None:
        return True
    if rejected is None:
        return False
    if rejected.fal_status in _NOT_THE_OUTCOME:
        return finished and rejected.error_type is not None and rejected.fal_status >= 500
    unfinished = (told is not None and not finished) or "in progress" in sentence(rejected.fal_body).lower()
    return not (unfinished and rejected.fal_status in _UNFINISHED)
