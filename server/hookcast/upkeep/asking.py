"""Asks fal about a job: its status, or its end when fal does not know the job."""

from collections import OrderedDict
from datetime import datetime, timedelta

from msgspec import Struct

from hookcast.errors import EndpointUnknown, FalRejected
from hookcast.fal.answers import Status
from hookcast.fal.queue import FalQueue
from hookcast.jobs import Cancelled, Clock, Failed, Job, Phase

UNKNOWN_TIMES = 3
UNKNOWN_FOR = timedelta(minutes=1)  # a request that fal has just accepted may not be visible yet
FORGOTTEN_AFTER = timedelta(minutes=5)
MAX_DOUBTED = 10_000


class _Doubt(Struct):
    """The 404s of one job, in a row."""

    first: datetime
    last: datetime
    times: int = 0


class Asking:
    """fal's answers about jobs, through `queue`. Counts, on this node, fal's 404s for each job."""

    def __init__(self, queue: FalQueue, clock: Clock) -> None:
        self.queue = queue
        self._clock = clock
        self._doubts: OrderedDict[str, _Doubt] = OrderedDict()

    async def status(self, job: Job) -> Status | Failed | Cancelled:
        """Return fal's status of the job, or its end when fal does not know it.

        Raises FalRejected, also for a 404 that is not conclusive yet, and FalUnreachable.
        """
        try:
            found = await self.queue.status(job)
        except FalRejected as error:
            if error.fal_status != 404 or isinstance(error, EndpointUnknown):
                raise
            end = self._unknown(job)
            if end is None:
                raise
            return end
        self._doubts.pop(job.request_id, None)
        return found

    def _unknown(self, job: Job) -> Failed | Cancelled | None:
        """Return the end of a job for which fal answers 404; None while that is not conclusive."""
        if job.progress.phase is Phase.CANCELLING:
            return Cancelled()
        now = self._clock()
        doubt = self._doubts.pop(job.request_id, None)
        if doubt is None or now - doubt.last > FORGOTTEN_AFTER:
            doubt = _Doubt(now, now)
        doubt.last, doubt.times = now, doubt.times + 1
        if doubt.times >= UNKNOWN_TIMES and now - doubt.first >= UNKNOWN_FOR:
            return Failed(error=unknown_to_fal(job))
        self._doubts[job.request_id] = doubt
        if len(self._doubts) > MAX_DOUBTED:
            self._doubts.popitem(last=False)
        return None


def unknown_to_fal(job: Job) -> str:
    """Return the sentence for a job that fal does not know."""
    endpoint = "its endpointId is not known" if job.endpoint_id is None else f"its endpointId is {job.endpoint_id}"
    return f"fal does not know this request. Check the requestId, and the endpoint it was submitted to: {endpoint}."
