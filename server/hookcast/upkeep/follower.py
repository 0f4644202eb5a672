"""Live progress: reads phase, queue position and logs of pending jobs from fal while they have subscribers.

Each watched job has one task, owned by `run`; a lease lets only one node follow a job, whichever nodes have its
subscribers. The task reads fal's status stream, at most `MAX_FOLLOWED` at once. Beyond that, while the stream does not
work, and where it is refused, the task polls the status. It ends with the last subscriber or with the job, or when fal
refuses the key. The pauses between two attempts grow until one brings news.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from msgspec import Struct, json

from hookcast.dispatcher import Dispatcher
from hookcast.errors import EndpointUnknown, FalRejected, FalUnreachable, StoreUnavailable
from hookcast.fal.answers import Status
from hookcast.jobs import Job
from hookcast.journal import Event
from hookcast.logs import get_logger
from hookcast.push import Drained, Engine
from hookcast.store import JobStore
from hookcast.tasks import Tasks
from hookcast.upkeep.asking import Asking
from hookcast.upkeep.leases import LeaseKeeper, LeaseLost
from hookcast.upkeep.pump import Pump

MAX_FOLLOWED = 256
MIN_PAUSE_SECONDS = 0.5
MAX_PAUSE_SECONDS = 30.0
FIRST_SECONDS = 10.0  # a stream begins with the current status; otherwise a proxy holds it back
POLL_SECONDS = 3.0
MAX_POLL_SECONDS = 10.0
POLLS_WITHOUT_STREAM = 10  # before a refused stream is tried again

_log = get_logger(__name__)


class _Endpoint(Struct, rename="camel"):
    endpoint_id: str | None = None


class _Turn(NamedTuple):
    """The outcome of one attempt: whether it brought news, and whether the status was polled."""

    news: bool = False
    polled: bool = False


class _Pace:
    """The pauses of one job, and whether to try its stream."""

    def __init__(self) -> None:
        self._quiet = 0
        self._polls = 0

    @property
    def streams(self) -> bool:
        """True unless fal has refused the stream recently."""
        return self._polls == 0

    def refuse(self) -> None:
        """Only poll for a while."""
        self._polls = POLLS_WITHOUT_STREAM

    def pause(self, turn: _Turn) -> float:
        """Return the seconds until the next turn: doubled with each that brings no news, up to a limit."""
        self._quiet = 0 if turn.news else self._quiet
        self._polls = max(self._polls - turn.polled, 0)
        first, most = (POLL_SECONDS, MAX_POLL_SECONDS) if turn.polled else (MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS)
        pause = min(first * 2.0**self._quiet, most)
        self._quiet = min(self._quiet + 1, 16)
        return pause * (0.5 + random.random() / 2)  # noqa: S311


class Follower:
    """Follows the jobs that the hub reports as watched. `sleep` is injected for tests."""

    def __init__(
        self,
        *,
        store: JobStore,
        engine: Engine,
        dispatcher: Dispatcher,
        fal: Asking,
        keeper: LeaseKeeper,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._engine = engine
        self._dispatcher = dispatcher
        self._fal = fal
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
        pace = _Pace()
        try:
            while (turn := await self._follow_once(request_id, pace)) is not None:
                await self._sleep(pace.pause(turn))
        except Drained:
            _log.debug("follow_drained", request_id=request_id)

    async def _follow_once(self, request_id: str, pace: _Pace) -> _Turn | None:
        """Follow the job once; return None when following is over."""
        try:
            job = await self._followable(request_id)
            if job is None:
                return None
            async with self._keeper.held(f"follow:{request_id}"):
                self._fal.notebook.note_once(request_id, Event.FOLLOWED, "")
                return await self._turn(job, pace)
        except LeaseLost:
            _log.info("follow_lost", request_id=request_id)  # the node hung, or lost the database, for too long
        except StoreUnavailable as error:
            _log.warning("follow_interrupted", request_id=request_id, reason=str(error))
        return _Turn()

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

    async def _turn(self, job: Job, pace: _Pace) -> _Turn | None:
        pump = Pump(self._dispatcher, job.request_id, self._owner, self._sleep)
        try:
            turn = await self._read(job, pump, pace)
            await pump.flush()
        finally:
            pump.close()
        return None if turn is None or pump.over else turn._replace(news=pump.news)

    async def _read(self, job: Job, pump: Pump, pace: _Pace) -> _Turn | None:
        """Read one stream, or one status, into the pump; return None when there is nothing more to read."""
        try:
            if pace.streams and not self._streams.locked() and await self._read_stream(job, pump, pace):
                return _Turn()
            told = await self._fal.status(job)
        except FalUnreachable as error:
            _log.info("job_not_polled", request_id=job.request_id, reason=str(error))
            return _Turn()
        except FalRejected as error:
            _log.info("job_not_followed", request_id=job.request_id, fal_status=error.fal_status, reason=str(error))
            final = error.fal_status in {401, 403} or isinstance(error, EndpointUnknown)
            return None if final else _Turn(polled=error.fal_status < 500)
        if not isinstance(told, Status):
            await self._dispatcher.apply(job.request_id, told)
            return None
        pump.put(told.progress)
        return _Turn(polled=True)

    async def _read_stream(self, job: Job, pump: Pump, pace: _Pace) -> bool:
        """Read the status stream into the pump; return whether it worked. Raises FalRejected for a refused key."""
        told = False
        try:
            async with self._streams, self._fal.queue.follow(job) as reports, asyncio.timeout(FIRST_SECONDS) as wait:
                async for report in reports:
                    told = True
                    wait.reschedule(None)
                    pump.put(report.progress)
                    if pump.over:
                        break
        except FalUnreachable as error:
            _log.info("status_stream_broke", request_id=job.request_id, reason=str(error))
            return False
        except FalRejected as error:
            if error.fal_status in {401, 403} or isinstance(error, EndpointUnknown):
                raise
            _log.info("status_stream_refused", request_id=job.request_id, fal_status=error.fal_status)
            if error.fal_status < 500 or error.fal_status == 501:
                pace.refuse()
        return told
