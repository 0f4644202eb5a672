"""Asks fal about a job: its status, or its end when fal does not know the job."""

from collections import OrderedDict
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from hookcast.errors import EndpointUnknown, FalRejected, FalUnreachable
from hookcast.fal.answers import Status
from hookcast.fal.queue import FalQueue
from hookcast.jobs import Cancelled, Clock, Failed, Finished, Job, Phase, Update
from hookcast.journal import Event, Notebook

UNKNOWN_TIMES = 3
UNKNOWN_FOR = timedelta(minutes=1)  # a request that fal has just accepted may not be visible yet
FORGOTTEN_AFTER = timedelta(minutes=5)
MAX_DOUBTED = 10_000
_UNKNOWN = frozenset({404, 410, 422})  # 422: no id that fal could have given
_NEVER = datetime.min.replace(tzinfo=UTC)


class Doubt(Struct, omit_defaults=True):
    """fal's answers to one job that it does not know it, in a row."""

    first: datetime = _NEVER
    last: datetime = _NEVER
    times: int = 0

    def add(self, now: datetime) -> bool:
        """Count one; return whether it is conclusive: fal does not know the job."""
        if now - self.last > FORGOTTEN_AFTER:
            self.first, self.times = now, 0
        self.last, self.times = now, self.times + 1
        return self.times >= UNKNOWN_TIMES and now - self.first >= UNKNOWN_FOR

    def clear(self) -> None:
        """Forget them: fal knows the job."""
        self.last = _NEVER


class Asking:
    """fal's answers about jobs, through `queue`. Counts, on this node, the 404s and the like for each job."""

    def __init__(self, queue: FalQueue, clock: Clock, notebook: Notebook) -> None:
        self.queue = queue
        self.notebook = notebook
        self._clock = clock
        self._doubts: OrderedDict[str, Doubt] = OrderedDict()

    async def status(self, job: Job, doubt: Doubt | None = None) -> Status | Failed | Cancelled:
        """Return fal's status of the job, or its end when fal does not know it.

        `doubt` has the 404s so far of a caller that keeps them itself. Raises FalRejected, also for a 404 that is not
        conclusive yet, and FalUnreachable.
        """
        try:
            found = await self.queue.status(job)
        except FalRejected as error:
            if not is_unknown(error):
                raise
            if job.progress.phase is Phase.CANCELLING:
                return Cancelled()
            if not (doubt or self._doubt(job)).add(self._clock()):
                raise
            self._doubts.pop(job.request_id, None)
            return Failed(error=unknown_to_fal(job))
        self._doubts.pop(job.request_id, None)
        if doubt is not None:
            doubt.clear()
        return found

    async def news(self, job: Job) -> Update:
        """Ask fal about a pending job, note its answer in the journal, and return it as an update.

        Raises FalRejected, also for a 404 that is not conclusive yet, and FalUnreachable.
        """
        try:
            told = await self.status(job)
        except (FalRejected, FalUnreachable) as error:
            self.notebook.note(job.request_id, Event.ASKED, answer=str(error))
            raise
        self.notebook.note(job.request_id, Event.ASKED, answer=_answer(told))
        if not isinstance(told, Status):
            return told
        return Finished(logs=told.progress.logs) if told.finished else told.progress

    def _doubt(self, job: Job) -> Doubt:
        """Return this node's count, now the youngest; the oldest is forgotten when there are too many."""
        doubt = self._doubts[job.request_id] = self._doubts.pop(job.request_id, Doubt())
        if len(self._doubts) > MAX_DOUBTED:
            self._doubts.popitem(last=False)
        return doubt


def is_unknown(error: FalRejected) -> bool:
    """Return whether this answer to a request for the status says that fal does not know the job."""
    return error.fal_status in _UNKNOWN and not isinstance(error, EndpointUnknown)


def _answer(told: Status | Failed | Cancelled) -> str:
    """Return fal's answer in a word, or a sentence."""
    if isinstance(told, Status):
        return "finished" if told.finished else told.progress.phase
    return told.error if isinstance(told, Failed) else "cancelled"


def unknown_to_fal(job: Job) -> str:
    """Return the sentence for a job that fal does not know."""
    endpoint = "its endpointId is not known" if job.endpoint_id is None else f"its endpointId is {job.endpoint_id}"
    return f"fal does not know this request. Check the requestId, and the endpoint it was submitted to: {endpoint}."
