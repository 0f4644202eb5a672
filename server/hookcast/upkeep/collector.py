"""Fetches results from fal: for webhooks with `payload_error`, and for jobs whose webhook did not arrive.

Each job in phase `saving` has at most one task here, owned by `run`, which also resumes the jobs that a stopped server
left behind. When fal answers with anything but a result, its status shows whether the job has failed for good. Attempts
end after an hour: fal keeps results no longer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

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
from hookcast.fal.sentences import sentence
from hookcast.jobs import Cancelled, Clock, Completed, Failed, Job
from hookcast.logs import get_logger
from hookcast.store import JobStore
from hookcast.tasks import Tasks
from hookcast.upkeep.asking import Asking

KEPT_FOR = timedelta(hours=1)
MISSING_FOR = timedelta(minutes=5)  # for a result that is refused although fal has finished: it may only be late
UNUSABLE_TIMES = 2  # a single one may have been truncated in transit
MAX_PAUSE_SECONDS = 30.0
MAX_AT_ONCE = 64
GONE = "The result could not be fetched: fal keeps results for an hour at most. Submit the job again."

NOT_STORABLE = "fal has finished the job, but the server's database cannot store its result."
_GAVE_UP = Failed(error=GONE)
# Not the job's outcome: the URL moved, the key is wrong, fal is busy, or fal or the result is unavailable.
_PASSING = frozenset({429, 502, 503, 504})
_NOT_THE_OUTCOME = _PASSING | {*range(300, 400), 401, 403, 404, 408}
_UNFINISHED = frozenset({400, 409, 425})  # also fal's answers while the request is in progress
_log = get_logger(__name__)


class _Fetch(Struct):
    """The findings of the attempts so far. `since` is the time of the first one."""

    since: datetime
    unusable: int = 0


class Collector:
    """Fetches results, retrying until the job ends. `fal` is None without a FAL_KEY: then nothing is fetched."""

    def __init__(
        self,
        store: JobStore,
        dispatcher: Dispatcher,
        fal: Asking | None,
        *,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._fal = fal
        self._clock = clock
        self._sleep = sleep
        self._tasks = Tasks()
        self._busy: set[str] = set()
        self._turns = asyncio.Semaphore(MAX_AT_ONCE)

    async def run(self) -> None:
        """Own the tasks until cancelled; start with the unfinished jobs in the store."""
        async with self._tasks.owned():
            for job in await self._unfinished():
                self.fetch(job)
            await asyncio.get_running_loop().create_future()

    def fetch(self, job: Job, after: float = 0.0) -> None:
        """Fetch the result in the background, `after` seconds from now; do nothing while a fetch is in progress."""
        name = job.request_id
        if self._fal is None or job.status.terminal or name in self._busy:
            return
        if self._tasks.start(name, self._collect, name, self._fal, after) is not None:
            self._busy.add(name)

    async def _unfinished(self) -> list[Job]:
        pause = 0.5
        while True:
            try:
                return await self._store.saving()
            except StoreUnavailable as error:
                _log.warning("unfinished_not_read", reason=str(error))
                await self._sleep(pause)
                pause = min(pause * 2, MAX_PAUSE_SECONDS)

    async def _collect(self, request_id: str, fal: Asking, pause: float) -> None:
        fetch = _Fetch(since=self._clock())
        try:
            while True:
                await self._sleep(pause)
                async with self._turns:
                    if await self._attempt(request_id, fal, fetch):
                        return
                pause = min(max(pause, 0.5) * 2, MAX_PAUSE_SECONDS)
        finally:
            self._busy.discard(request_id)

    async def _attempt(self, request_id: str, fal: Asking, fetch: _Fetch) -> bool:
        """Fetch and store the outcome once; return whether the job needs no further attempt."""
        try:
            job = await self._store.get(request_id)
            if job is None or job.status.terminal:
                return True
            outcome = await self._outcome(job, fal, fetch)
            if outcome is not None:
                await self._end(request_id, outcome)
        except StoreUnavailable as error:
            _log.warning("result_not_stored", request_id=request_id, reason=str(error))
            return False
        return outcome is not None

    async def _end(self, request_id: str, outcome: Completed | Failed | Cancelled) -> None:
        try:
            await self._dispatcher.apply(request_id, outcome, "hookcast" if outcome is _GAVE_UP else "fal")
        except NotStorable as error:
            _log.error("result_not_storable", request_id=request_id, reason=str(error))
            await self._dispatcher.apply(request_id, Failed(error=NOT_STORABLE))

    async def _outcome(self, job: Job, fal: Asking, fetch: _Fetch) -> Completed | Failed | Cancelled | None:
        try:
            return Completed(result=await fal.queue.result(job))
        except UnusableResult as error:
            fetch.unusable += 1
            if fetch.unusable >= UNUSABLE_TIMES:
                return Failed(error=str(error))
            trouble: FalError = error
        except (FalRejected, FalUnreachable) as error:
            trouble = error
        rejected = trouble if isinstance(trouble, FalRejected) and not isinstance(trouble, UnusableResult) else None
        told = await self._told(job, fal, known=rejected is None or rejected.fal_status != 404)
        if isinstance(told, (Failed, Cancelled)):
            return told
        if _final(rejected, told):
            return failed(rejected, told)
        _log.warning("result_not_fetched", request_id=job.request_id, reason=str(trouble))
        return self._overdue(job, fetch, rejected, told)

    async def _told(self, job: Job, fal: Asking, *, known: bool) -> Status | Failed | Cancelled | None:
        """Return fal's status of the job, or its end when fal does not know it (unless `known`), else None."""
        try:
            return await (fal.queue.status(job) if known else fal.status(job))
        except (FalRejected, FalUnreachable) as error:
            _log.info("status_not_told", request_id=job.request_id, reason=str(error))
            return None

    def _overdue(self, job: Job, fetch: _Fetch, rejected: FalRejected | None, told: Status | None) -> Failed | None:
        """Return the failure of a job whose result is no longer available."""
        spent = self._clock() - min(fetch.since, job.updated_at)
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
