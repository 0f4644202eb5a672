"""What a stream of states means to a backend: the events that its webhooks would tell; pure."""

from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime

from msgspec import Raw, Struct
from msgspec.structs import replace

from hookcast.client import Job
from hookcast.eventtypes import EventType

KEPT = 20_000  # jobs remembered, as many as the client of the feed does
_ENDS = {"completed": EventType.COMPLETED, "failed": EventType.FAILED, "cancelled": EventType.CANCELLED}


class Happening(Struct, frozen=True):
    """An event of a job: what the server's own webhook tells, with the same id."""

    type: EventType
    request_id: str
    created_at: datetime
    version: int
    at: datetime


class _Known(Struct, frozen=True):
    shown: Job
    started: bool
    ended: bool


class Events:
    """Finds the events of the `wanted` types in the newer states of all jobs, from `begins` on, by the server's clock.

    What comes of a job that had ended before is no end.
    """

    def __init__(self, wanted: frozenset[EventType], begins: datetime) -> None:
        self.begins = begins
        self._wanted = wanted
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def of(self, job: Job) -> Iterator[Happening]:
        """Yield the events that this state shows, in order, at most one end for a job."""
        if job.created_at is None or job.updated_at is None:
            return
        before = self._known.pop(job.request_id, None)
        self._known[job.request_id] = _Known(_shown(job), job.progress.started_at is not None, job.ended)
        if len(self._known) > KEPT:
            self._known.popitem(last=False)
        kind = self._kind(before, job)
        if kind is not None and kind in self._wanted:
            at = job.completed_at or job.updated_at
            yield Happening(kind, job.request_id, job.created_at, job.version, at)

    def _kind(self, before: _Known | None, job: Job) -> EventType | None:
        if job.ended:
            told = before.ended if before is not None else not self._ended_here(job)
            return None if told else _ENDS.get(job.status)
        started = job.progress.started_at is not None and before is not None and not before.started
        if started and EventType.STARTED in self._wanted:
            return EventType.STARTED
        return EventType.PROGRESS if before is not None and before.shown != _shown(job) else None

    def _ended_here(self, job: Job) -> bool:
        return job.completed_at is not None and job.completed_at >= self.begins


def _shown(job: Job) -> Job:
    """Return a job without what differs in each version, and without its result, which is large."""
    return replace(job, version=0, updated_at=None, body=b"", result_json=Raw(b"null"), error_detail=Raw(b"null"))
