"""Live progress: while somebody watches a pending job, its phase, queue position and logs are read from fal.

One task a watched job, owned by `run`, at most `MAX_FOLLOWED` status streams at once. It ends with the last watcher or
with the job; a stream that breaks is opened again after growing pauses.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

from hookcast.collector import Collector
from hookcast.dispatcher import Dispatcher
from hookcast.errors import FalRejected, FalUnreachable, StoreUnavailable
from hookcast.fal.queue import FalQueue
from hookcast.jobs import KEPT_LOG_LINES, Cancelled, Job, Phase, Progressed
from hookcast.logs import get_logger
from hookcast.push import Drained, Engine
from hookcast.store import JobStore

MAX_FOLLOWED = 256
MIN_GAP_SECONDS = 0.2  # at most 5 states a second a job
WEBHOOK_GRACE_SECONDS = 3.0
MIN_PAUSE_SECONDS = 0.5
MAX_PAUSE_SECONDS = 30.0

_log = get_logger(__name__)


class Follower:
    """The `Audience` of the hub. `sleep` is passed in for tests."""

    def __init__(
        self,
        *,
        store: JobStore,
        engine: Engine,
        dispatcher: Dispatcher,
        collector: Collector,
        queue: FalQueue,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._engine = engine
        self._dispatcher = dispatcher
        self._collector = collector
        self._queue = queue
        self._sleep = sleep
        self._streams = asyncio.Semaphore(MAX_FOLLOWED)
        self._group: asyncio.TaskGroup | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Own the tasks until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            await asyncio.get_running_loop().create_future()

    def watched(self, request_id: str) -> None:
        """Follow the job from now on."""
        if self._group is not None and not self._engine.draining:
            self._tasks[request_id] = self._group.create_task(self._follow(request_id))

    def unwatched(self, request_id: str) -> None:
        """Let go of it."""
        task = self._tasks.pop(request_id, None)
        if task is not None:
            task.cancel()

    async def _follow(self, request_id: str) -> None:
        pause = MIN_PAUSE_SECONDS
        try:
            while (told := await self._follow_once(request_id)) is not None:
                pause = MIN_PAUSE_SECONDS if told else min(pause * 2, MAX_PAUSE_SECONDS)
                await self._sleep(pause * (0.5 + random.random() / 2))  # noqa: S311
        except Drained:
            _log.debug("follow_drained", request_id=request_id)

    async def _follow_once(self, request_id: str) -> bool | None:
        """One stream, from its opening to its end. True = it told something, False = it broke, None = all is done."""
        try:
            job = await self._followable(request_id)
            return None if job is None else await self._stream(job)
        except StoreUnavailable as error:
            _log.warning("follow_interrupted", request_id=request_id, reason=str(error))
            return False

    async def _followable(self, request_id: str) -> Job | None:
        """Wait until the job is known, pending and has an endpoint; None when it has ended."""
        async with self._engine.watch(request_id, active=False) as watch:
            while True:
                job = await self._store.get(request_id)
                if job is not None and (job.status.terminal or job.endpoint_id is not None):
                    return None if job.status.terminal else job
                await watch.next(60.0)

    async def _stream(self, job: Job) -> bool | None:
        assert self._group is not None  # noqa: S101
        pump = _Pump(self._dispatcher, job.request_id, self._group, self._sleep)
        try:
            async with self._streams, self._queue.follow(job) as reports:
                async for report in reports:
                    pump.put(report)
        except FalUnreachable as error:
            _log.info("status_stream_broke", request_id=job.request_id, reason=str(error))
        except FalRejected as error:
            await self._refused(job, error)
            return None
        finished = await pump.flush()
        if finished is not None:
            self._collector.collect(finished, after=WEBHOOK_GRACE_SECONDS)
            return None
        return pump.told

    async def _refused(self, job: Job, error: FalRejected) -> None:
        """A job that fal no longer knows was removed if we had asked for that; nothing else can be concluded."""
        _log.warning("job_not_followed", request_id=job.request_id, fal_status=error.fal_status, reason=str(error))
        if error.fal_status == 404 and job.progress.phase is Phase.CANCELLING:
            await self._dispatcher.apply(job.request_id, Cancelled())


class _Pump:
    """Turns reports into states at no more than the allowed rate; the newest wins, log lines add up."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        request_id: str,
        owner: asyncio.TaskGroup,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._dispatcher = dispatcher
        self._request_id = request_id
        self._owner = owner
        self._sleep = sleep
        self._next: Progressed | None = None
        self._writer: asyncio.Task[None] | None = None
        self._last: Job | None = None
        self.told = False

    def put(self, report: Progressed) -> None:
        self.told = True
        earlier = self._next.logs if self._next is not None else ()
        logs = (*earlier, *report.logs)[-KEPT_LOG_LINES:]
        self._next = Progressed(phase=report.phase, queue_position=report.queue_position, logs=logs)
        if self._writer is None or self._writer.done():
            self._writer = self._owner.create_task(self._write())

    async def flush(self) -> Job | None:
        """Wait for the last write; answer the job if fal has finished it and we have not got its result."""
        if self._writer is not None:
            await self._writer
        job = self._last
        saving = job is not None and not job.status.terminal and job.progress.phase is Phase.SAVING
        return job if saving else None

    async def _write(self) -> None:
        while self._next is not None:
            report, self._next = self._next, None
            try:
                self._last = (await self._dispatcher.apply(self._request_id, report)).after
            except StoreUnavailable as error:
                _log.warning("progress_not_stored", request_id=self._request_id, reason=str(error))
            await self._sleep(MIN_GAP_SECONDS)
