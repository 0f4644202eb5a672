"""Fetches results from fal: for webhooks with `payload_error`, and for jobs whose webhook did not arrive.

Each job in phase `saving` has at most one task here, owned by `run`, which also resumes the jobs that a stopped server
left behind. fal keeps results for at most an hour, so attempts end after an hour.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from hookcast.dispatcher import Dispatcher
from hookcast.errors import FalRejected, FalUnreachable, NotStorable, StoreUnavailable
from hookcast.fal.errors import sentence
from hookcast.fal.queue import FalQueue
from hookcast.jobs import Clock, Completed, Failed, Job
from hookcast.logs import get_logger
from hookcast.store import JobStore
from hookcast.tasks import Tasks

KEPT_FOR = timedelta(hours=1)
MAX_PAUSE_SECONDS = 30.0
MAX_AT_ONCE = 64
GONE = "The result could not be fetched: fal keeps results for an hour at most. Submit the job again."

NOT_STORABLE = "fal has finished the job, but the server's database does not take its result."
_GAVE_UP = Failed(error=GONE)
# Not the job's outcome: the URL moved, the key is wrong, or fal or the result is unavailable.
_NOT_THE_OUTCOME = frozenset({*range(300, 400), 401, 403, 404, 408})
_log = get_logger(__name__)


class Collector:
    """Fetches results, retrying until the job ends. `queue` is None without a FAL_KEY: jobs then stay in `saving`."""

    def __init__(
        self,
        store: JobStore,
        dispatcher: Dispatcher,
        queue: FalQueue | None,
        *,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._queue = queue
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
        if self._queue is None or job.status.terminal or name in self._busy:
            return
        if self._tasks.start(name, self._collect, name, self._queue, after) is not None:
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

    async def _collect(self, request_id: str, queue: FalQueue, pause: float) -> None:
        try:
            while True:
                await self._sleep(pause)
                async with self._turns:
                    if await self._attempt(request_id, queue):
                        return
                pause = min(max(pause, 0.5) * 2, MAX_PAUSE_SECONDS)
        finally:
            self._busy.discard(request_id)

    async def _attempt(self, request_id: str, queue: FalQueue) -> bool:
        """Fetch and store the result once; return whether the job needs no further attempt."""
        try:
            job = await self._store.get(request_id)
            if job is None or job.status.terminal:
                return True
            outcome = await self._outcome(job, queue)
            if outcome is not None:
                await self._end(request_id, outcome)
        except StoreUnavailable as error:
            _log.warning("result_not_stored", request_id=request_id, reason=str(error))
            return False
        return outcome is not None

    async def _end(self, request_id: str, outcome: Completed | Failed) -> None:
        try:
            await self._dispatcher.apply(request_id, outcome, "hookcast" if outcome is _GAVE_UP else "fal")
        except NotStorable as error:
            _log.error("result_not_storable", request_id=request_id, reason=str(error))
            await self._dispatcher.apply(request_id, Failed(error=NOT_STORABLE))

    async def _outcome(self, job: Job, queue: FalQueue) -> Completed | Failed | None:
        try:
            return Completed(result=await queue.result(job))
        except FalUnreachable as error:
            _log.warning("result_not_fetched", request_id=job.request_id, reason=str(error))
        except FalRejected as error:
            if error.fal_status not in _NOT_THE_OUTCOME and not _in_progress(error):
                return Failed(error=str(error), detail=error.raw_body)
            _log.warning("result_not_fetched", request_id=job.request_id, reason=str(error))
        return _GAVE_UP if self._clock() - job.updated_at > KEPT_FOR else None


def _in_progress(error: FalRejected) -> bool:
    return error.fal_status == 400 and "in progress" in sentence(error.raw_body, "")
