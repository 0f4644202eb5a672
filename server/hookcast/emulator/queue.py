"""The emulator's jobs: a timeline that is a pure function of elapsed time, and the bounded store of jobs.

Times inside a timeline are seconds at speed 1; a job's own speed converts them to real seconds.
"""

import asyncio
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from enum import StrEnum

from msgspec import Raw

from hookcast.emulator.faults import Wishes

STARTS = 2.4
ENDS = 8.0
CANCEL_TAKES = 0.5
QUEUE_POSITIONS = ((0.0, 3), (0.6, 2), (1.2, 1), (1.8, 0))
LOG_LINES = (
    (2.6, "Runner started"),
    (3.2, "Loading the model"),
    (4.2, "Sampling:  25%"),
    (5.2, "Sampling:  50%"),
    (6.2, "Sampling:  75%"),
    (7.2, "Sampling: 100%"),
    (7.7, "Uploading the result"),
)
_CHANGES = tuple(sorted((*(at for at, _ in (*QUEUE_POSITIONS, *LOG_LINES)), STARTS)))

KEPT_ENDED = 1000


class Phase(StrEnum):
    """fal's three statuses. Failed and cancelled jobs are COMPLETED, too."""

    IN_QUEUE = "IN_QUEUE"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"


class CancelAnswer(StrEnum):
    """fal's responses to cancelling a known job."""

    REQUESTED = "CANCELLATION_REQUESTED"
    REMOVED = "OK"
    ALREADY_COMPLETED = "ALREADY_COMPLETED"


class UnknownJob(LookupError):
    """No job with this request id under this app."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A job's status at one time; `log_lines` counts those written so far."""

    phase: Phase
    queue_position: int | None
    log_lines: int


def moment(elapsed: float, ends: float = ENDS) -> Moment:
    """Return the status after `elapsed` seconds of a job that ends (or is cancelled) after `ends` seconds."""
    lines = sum(at <= min(elapsed, ends) for at, _ in LOG_LINES)
    if elapsed >= ends:
        return Moment(Phase.COMPLETED, None, lines)
    if elapsed >= STARTS:
        return Moment(Phase.IN_PROGRESS, None, lines)
    position = min(place for at, place in QUEUE_POSITIONS if at <= max(elapsed, 0.0))
    return Moment(Phase.IN_QUEUE, position, lines)


def next_change(elapsed: float, ends: float = ENDS) -> float | None:
    """Return the time of the next change, in timeline seconds; None once the job has ended."""
    if elapsed >= ends:
        return None
    return min((at for at in _CHANGES if elapsed < at < ends), default=ends)


class Signal:
    """An edge-triggered event: wakes the current waiters and keeps no state."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def notify(self) -> None:
        """Wake all current waiters. Call it in the event loop's thread."""
        self._next.set()
        self._next = asyncio.Event()

    async def wait(self, seconds: float) -> bool:
        """Wait for the next `notify`, at most `seconds`; return whether it came."""
        try:
            async with asyncio.timeout(seconds):
                return await self._next.wait()
        except TimeoutError:
            return False


@dataclass(slots=True, eq=False)
class Job:
    """One request. `submitted` is a time of the event loop's clock, `submitted_at` unix seconds.

    `base_url` is the emulator's address as the client reached it, with a trailing slash. `fetches` counts the requests
    for each file of the result, by its place.
    """

    request_id: str
    endpoint_id: str
    app_id: str
    base_url: str
    webhook_url: str | None
    prompt: Raw
    wishes: Wishes
    speed: float
    submitted: float
    submitted_at: float
    ends: float = ENDS
    cancelled: bool = False
    changed: Signal = field(default_factory=Signal)
    first_attempt: asyncio.Event = field(default_factory=asyncio.Event)
    fetches: Counter[int] = field(default_factory=Counter)

    @property
    def url(self) -> str:
        """The URL of the result; status and cancel are below it. Under the app, not the endpoint."""
        return f"{self.base_url}{self.app_id}/requests/{self.request_id}"

    def elapsed(self, clock: float) -> float:
        """Return timeline seconds since the submit."""
        return (clock - self.submitted) * self.speed

    def moment(self, clock: float) -> Moment:
        """Return the job's status at this time of the loop's clock."""
        return moment(self.elapsed(clock), self.ends)

    def cancel(self, clock: float) -> CancelAnswer:
        """Cancel: a queued job ends at once; a running one ends soon, or completes if it finishes first."""
        now = self.elapsed(clock)
        phase = moment(now, self.ends).phase
        if phase is Phase.COMPLETED:
            return CancelAnswer.ALREADY_COMPLETED
        queued = phase is Phase.IN_QUEUE
        end = now if queued else now + CANCEL_TAKES
        if end < self.ends:
            self.ends = end
            self.cancelled = True
            self.changed.notify()
        return CancelAnswer.REMOVED if queued else CancelAnswer.REQUESTED

    async def wait_until_end(self) -> None:
        """Wait until the job has ended; a cancel meanwhile shortens the wait."""
        loop = asyncio.get_running_loop()
        while (left := (self.ends - self.elapsed(loop.time())) / self.speed) > 0:
            await self.changed.wait(left)


class Jobs:
    """All jobs by request id. Of ended jobs only the newest are kept; the emulator bounds the live ones."""

    def __init__(self, *, kept_ended: int = KEPT_ENDED) -> None:
        self._live: dict[str, Job] = {}
        self._ended: OrderedDict[str, Job] = OrderedDict()
        self._kept_ended = kept_ended

    def add(self, job: Job) -> None:
        """Add a new job."""
        self._live[job.request_id] = job

    def get(self, app_id: str, request_id: str) -> Job:
        """Return the job with this id under this app. Raises UnknownJob."""
        job = self.find(request_id)
        if job.app_id != app_id:
            raise UnknownJob(request_id)
        return job

    def find(self, request_id: str) -> Job:
        """Return the job with this id under any app. Raises UnknownJob."""
        job = self._live.get(request_id) or self._ended.get(request_id)
        if job is None:
            raise UnknownJob(request_id)
        return job

    def ended(self, job: Job) -> None:
        """Mark the job as ended, and drop the oldest ended jobs beyond the limit."""
        if self._live.pop(job.request_id, None) is not None:
            self._ended[job.request_id] = job
        while len(self._ended) > self._kept_ended:
            self._ended.popitem(last=False)

    def wake_all(self) -> None:
        """Wake every waiter of a live job to check again."""
        for job in self._live.values():
            job.changed.notify()

    def holds(self, job: Job) -> bool:
        """Return whether the job is still stored."""
        return job.request_id in self._live or job.request_id in self._ended
