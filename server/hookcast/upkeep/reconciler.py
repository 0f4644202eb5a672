"""Recovers lost webhooks: asks fal about pending jobs whose webhook is overdue, watched or not.

One node at a time asks about a job: a lease in the database protects it until it is due again. Watched jobs are also
followed live (`follower`); the reconciler covers all others, and what the follower missed. fal's answer goes through
the dispatcher like a webhook, which also makes sure that the result of a finished job will be fetched.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

from hookcast.dispatcher import Dispatcher
from hookcast.errors import FalRejected, FalUnreachable, StoreUnavailable
from hookcast.jobs import Clock, Failed, Finished, Job, Phase, Progressed, Update
from hookcast.loglines import LogLine
from hookcast.logs import get_logger
from hookcast.store import JobStore
from hookcast.store.leases import ask_lease
from hookcast.tasks import repeat
from hookcast.upkeep.asking import Asking, is_unknown
from hookcast.upkeep.collector import GONE, KEPT_FOR
from hookcast.wire import rfc3339

LOOK_SECONDS = 1.0
ASKS_A_LOOK = 20  # per node, with at least a second between checks
ASK_EVERY_SECONDS = 45.0  # fal keeps large results for only 6 minutes
DOUBT_SECONDS = 20.0  # until a job that fal does not know is asked about again
MAX_PAUSE_SECONDS = 60.0

UNASKABLE = (
    "Hookcast cannot ask fal about this job, because its endpointId is not known: if its webhook is lost, only the "
    "time limit ends it. Register the job with its endpointId."
)
NO_KEY = "fal has finished this job, but its result could not be fetched: no FAL_KEY is set on the server."
_log = get_logger(__name__)


class Reconciler:
    """Asks fal about overdue jobs and ends those past the time limit. `node` names this node; `sleep` is for tests.

    `fal` is None without a FAL_KEY: then only the time limit applies.
    """

    def __init__(
        self,
        *,
        store: JobStore,
        dispatcher: Dispatcher,
        fal: Asking | None,
        clock: Clock,
        node: str,
        timeout: timedelta,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._fal = fal
        self._clock = clock
        self._node = node
        self._timeout = timeout
        self._sleep = sleep

    async def run(self) -> None:
        """Check every second, less often while fal or the database is unavailable, until cancelled."""
        await repeat(self.look, _pause, self._sleep, failed="reconciler_pauses", longest=MAX_PAUSE_SECONDS)

    async def look(self) -> int:
        """Ask fal about the jobs that are due; return how many. Raises FalUnreachable and StoreUnavailable."""
        before = self._clock() - timedelta(seconds=ASK_EVERY_SECONDS)
        due = await self._store.leases.to_ask_about(ASKS_A_LOOK, created_before=before)
        names = {ask_lease(job.request_id): job for job in due}
        pause = ASK_EVERY_SECONDS * random.uniform(0.75, 1.0)  # noqa: S311
        ours = await self._store.leases.take(names, self._node, pause)
        failures = await asyncio.gather(*(self._try(names[name]) for name in ours))
        if ours and all(failures):
            raise next(failure for failure in failures if failure is not None)
        return len(ours)

    async def _try(self, job: Job) -> FalUnreachable | StoreUnavailable | None:
        """Reconcile the job and return its failure, if any; a failed job waits until it is due again.

        fal or the database counts as unavailable only when all jobs of a check fail.
        """
        try:
            await self._reconcile(job)
        except (FalUnreachable, StoreUnavailable) as error:
            _log.warning("job_not_reconciled", request_id=job.request_id, reason=str(error))
            return error
        except Exception as error:  # noqa: BLE001 - the fault is of this job alone
            _log.error("job_not_reconciled", request_id=job.request_id, exc_info=error)
        return None

    async def _reconcile(self, job: Job) -> None:
        update = await self._news(job)
        if update is not None:
            job = (await self._dispatcher.apply(job.request_id, update)).after
        since, limit = job.created_at, self._timeout
        if self._fal is not None and (job.progress.phase is Phase.SAVING or isinstance(update, Finished)):
            since, limit = job.updated_at, 2 * KEPT_FOR  # the collector has its own; this is for a job it cannot serve
        if not job.status.terminal and self._clock() - since > limit:
            await self._dispatcher.apply(job.request_id, Failed(error=self._timed_out(job)), "hookcast")

    async def _news(self, job: Job) -> Update | None:
        if job.endpoint_id is None and job.response_url is None:
            line = LogLine(message=UNASKABLE, timestamp=rfc3339(job.created_at), level="WARN")
            return Progressed(phase=job.progress.phase, queue_position=job.progress.queue_position, logs=(line,))
        if self._fal is None:
            return None
        if job.progress.phase is Phase.SAVING:
            return Finished()
        try:
            return await self._fal.news(job)
        except FalRejected as error:
            _log.info("job_not_asked", request_id=job.request_id, fal_status=error.fal_status, reason=str(error))
            if is_unknown(error):
                await self._store.leases.take([ask_lease(job.request_id)], self._node, DOUBT_SECONDS)
            return None

    def _timed_out(self, job: Job) -> str:
        if job.progress.phase is Phase.SAVING:
            return GONE if self._fal is not None else NO_KEY
        minutes = round(self._timeout.total_seconds() / 60) or 1
        spent = f"fal did not finish this job within {minutes} minute{'s' if minutes > 1 else ''}"
        if job.endpoint_id is None:
            return f"{spent}, or its webhook was lost: fal could not be asked, because the endpointId is not known."
        return f"{spent}."


def _pause() -> float:
    """Return the seconds until the next check: never more often than `ASKS_A_LOOK` allows."""
    return LOOK_SECONDS * random.uniform(1.0, 1.4)  # noqa: S311
