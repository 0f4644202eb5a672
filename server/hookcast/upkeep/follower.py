"""Live progress: reads phase, queue position and logs of pending jobs from fal while they have subscribers.

Each watched job has one task, owned by `run`; a lease lets only one node follow a job, whichever nodes have its
subscribers. The task reads fal's status stream, at most `MAX_FOLLOWED` at once; beyond that, or when the stream fails,
it polls the status. It ends with the last subscriber or with the job. A broken stream is reopened after pauses that
grow until a stream brings news.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

from msgspec import Struct, json

from hookcast.dispatcher import Dispatcher
from hookcast.errors import FalRejected, FalUnreachable, StoreUnavailable
from hookcast.fal.queue import FalQueue
from hookcast.jobs import KEPT_LOG_LINES, Cancelled, Finished, Job, Phase, Progressed
from hookcast.logs import get_logger
from hookcast.push import Drained, Engine
from hookcast.store import JobStore
from hookcast.tasks import Tasks
from hookcast.upkeep.leases import LeaseKeeper, LeaseLost

MAX_FOLLOWED = 256
MIN_GAP_SECONDS = 0.2  # at most 5 states per second and job
WEBHOOK_GRACE_SECONDS = 3.0
MIN_PAUSE_SECONDS = 0.5
MAX_PAUSE_SECONDS = 30.0
POLL_SECONDS = 3.0

_log = get_logger(__name__)


class Follower:
    """Follows the jobs that the hub reports as watched. `sleep` is injected for tests."""

    def __init__(
        self,
        *,
        store: JobStore,
        engine: Engine,
        dispatcher: Dispatcher,
        queue: FalQueue,
        keeper: LeaseKeeper,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._engine = engine
        self._dispatcher = dispatcher
        self._queue = queue
        self._keeper = keeper
        self._sleep = sleep
        self._streams = asyncio.Semaphore(MAX_FOLLOWED)
        self._owner = Tasks()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Own the tasks until cancelled."""
        async with self._owner.owned():
            while True:
                for request_id, watched in (await self._engine.hub.interest.changes()).items():
                    if watched:
                        self._start(request_id)
                    else:
                        self._stop(request_id)

    def _start(self, request_id: str) -> None:
        if self._engine.admission.draining:
            return
        task = self._owner.start(request_id, self._follow, request_id)
        if task is not None:
            self._tasks[request_id] = task

    def _stop(self, request_id: str) -> None:
        task = self._tasks.pop(request_id, None)
        if task is not None:
            task.cancel()

    async def _follow(self, request_id: str) -> None:
        pause = MIN_PAUSE_SECONDS
        try:
            while (news := await self._follow_once(request_id)) is not None:
                pause = MIN_PAUSE_SECONDS if news else pause
                await self._sleep(pause * (0.5 + random.random() / 2))  # noqa: S311
                pause = min(pause * 2, MAX_PAUSE_SECONDS)
        except Drained:
            _log.debug("follow_drained", request_id=request_id)

    async def _follow_once(self, request_id: str) -> bool | None:
        """Follow the job once; return True when that brought news, False when not, None when following is over."""
        try:
            job = await self._followable(request_id)
            if job is None:
                return None
            async with self._keeper.held(f"follow:{request_id}"):
                return await self._stream(job)
        except LeaseLost:
            _log.info("follow_lost", request_id=request_id)  # the node hung, or lost the database, for too long
            return False
        except StoreUnavailable as error:
            _log.warning("follow_interrupted", request_id=request_id, reason=str(error))
            return False

    async def _followable(self, request_id: str) -> Job | None:
        """Wait until the job is known and pending and has an endpoint; return None when it has ended."""
        read_by_subscriber = self._engine.hub.awaits(request_id)
        with self._engine.subscriptions.overhear(request_id) as watch:
            job = None if read_by_subscriber else await self._store.get(request_id)
            while job is None or not (job.status.terminal or job.endpoint_id is not None):
                state = await watch.next(60.0)
                if state is not None and state.terminal:
                    return None
                if state is not None and json.decode(state.body, type=_Endpoint).endpoint_id is not None:
                    job = await self._store.get(request_id)
        return None if job.status.terminal else job

    async def _stream(self, job: Job) -> bool | None:
        pump = _Pump(self._dispatcher, job.request_id, self._owner, self._sleep)
        try:
            again = await self._read(job, pump)
            await pump.flush()
        finally:
            pump.close()
        return pump.news if again and not pump.over else None

    async def _read(self, job: Job, pump: "_Pump") -> bool:
        """Read one stream, or one status, into the pump; return whether to ask again."""
        try:
            if self._streams.locked() or not await self._read_stream(job, pump):
                pump.put(await self._queue.status(job))
                await self._sleep(POLL_SECONDS)
        except FalUnreachable as error:
            _log.info("job_not_polled", request_id=job.request_id, reason=str(error))
        except FalRejected as error:
            _log.warning("job_not_followed", request_id=job.request_id, fal_status=error.fal_status, reason=str(error))
            if error.fal_status < 500:
                await self._refused(job, error)
                return False
        return True

    async def _read_stream(self, job: Job, pump: "_Pump") -> bool:
        """Read the status stream into the pump; return whether the stream worked."""
        try:
            async with self._streams, self._queue.follow(job) as reports:
                async for report in reports:
                    pump.put(report)
                    if pump.over:
                        break
        except FalUnreachable as error:
            _log.info("status_stream_broke", request_id=job.request_id, reason=str(error))
            return False
        return True

    async def _refused(self, job: Job, error: FalRejected) -> None:
        """Mark a cancelling job as cancelled when fal no longer knows it; conclude nothing in any other case."""
        if error.fal_status == 404 and job.progress.phase is Phase.CANCELLING:
            await self._dispatcher.apply(job.request_id, Cancelled())


class _Endpoint(Struct, rename="camel"):
    endpoint_id: str | None = None


class _Pump:
    """Turns reports into states at a limited rate; the newest phase wins, log lines accumulate.

    `news` = it changed the job. `over` = the stream can bring nothing more: the job has ended, or its result is being
    fetched.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        request_id: str,
        owner: Tasks,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._dispatcher = dispatcher
        self._request_id = request_id
        self._owner = owner
        self._sleep = sleep
        self._next: Progressed | None = None
        self._writer: asyncio.Task[None] | None = None
        self._closed = False
        self.news = False
        self.over = False

    def put(self, report: Progressed) -> None:
        """Write the report as soon as the rate limit allows."""
        self._next = _merged(self._next, report)
        if self._writer is None or self._writer.done():
            self._writer = self._owner.start(self._request_id, self._write)

    async def flush(self) -> None:
        """Wait for the last write. Cancelling the wait does not cancel the write."""
        if self._writer is not None:
            await asyncio.wait({self._writer})

    def close(self) -> None:
        """Stop retrying: pending reports are still written, but a failed write is the last."""
        self._closed = True

    async def _write(self) -> None:
        pause = MIN_GAP_SECONDS
        while self._next is not None and not self.over:
            report, self._next = self._next, None
            if await self._stored(report):
                pause = MIN_GAP_SECONDS
            elif self._closed:
                return
            else:
                self._next = _merged(report, self._next)
                pause = min(pause * 2, MAX_PAUSE_SECONDS)
            await self._sleep(pause)

    async def _stored(self, report: Progressed) -> bool:
        finished = report.phase is Phase.SAVING
        try:
            update = Finished(logs=report.logs) if finished else report
            change = await self._dispatcher.apply(self._request_id, update, patience=WEBHOOK_GRACE_SECONDS)
        except StoreUnavailable as error:
            _log.warning("progress_not_stored", request_id=self._request_id, reason=str(error))
            return False
        self.news = self.news or change.changed
        self.over = finished or change.after.status.terminal
        return True


def _merged(earlier: Progressed | None, later: Progressed | None) -> Progressed | None:
    if earlier is None or later is None:
        return earlier or later
    logs = (*earlier.logs, *later.logs)[-KEPT_LOG_LINES:]
    return Progressed(phase=later.phase, queue_position=later.queue_position, logs=logs)
