"""Durable work: its kinds, and the pieces that a change of a job starts or ends; pure.

The store writes them in the transaction of the change; `upkeep/worker` runs them, on any node. To add a kind, name it
in `Kind`, state in `_RULES` what starts and ends it, and give the node a handler (`background._worker`).
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from hookcast.eventtypes import ENDS, EventType
from hookcast.jobs import Finished, Job, JobStatus, Kept, Phase, Relinked, Update


class Kind(StrEnum):
    """The kinds of durable work."""

    FETCH = "fetch"  # fetch a job's result from fal
    KEEP = "keep"  # copy the files of its result
    RELINK = "relink"  # copy the files of a job that was completed without them
    TIDY = "tidy"  # remove what earlier attempts have left of them
    ERASE = "erase"  # remove these files, once the job is removed
    TELL = "tell"  # tell the backend what happened to a job
    RELAY = "relay"  # pass a webhook of fal on to the backend
    RETELL = "retell"  # tell the backend again of all jobs that ended since a time


TIDY_SECONDS = 60.0
"""A node that has lost its lease has ended its copies by then."""


class Start(NamedTuple):
    """A piece of work to add, due `after` seconds from now; nothing is added if a piece with this id exists.

    `facts` is JSON that only the kind's handler reads.
    """

    id: str
    kind: Kind
    request_id: str
    after: float = 0.0
    facts: str = "{}"


class Consequences(NamedTuple):
    """The pieces of work that a change starts, and the ids of those that it makes needless."""

    starts: tuple[Start, ...] = ()
    ends: tuple[str, ...] = ()


class Cause(NamedTuple):
    """A change of a job (None = it was unknown) by an update that may have changed nothing.

    `patience` is how many seconds the job's webhook has to come first. `tells` are the events that the backend wants,
    `also` is work that comes with the update, whatever it changes.
    """

    before: Job | None
    after: Job
    update: Update
    patience: float = 0.0
    tells: frozenset[EventType] = frozenset()
    also: tuple[Start, ...] = ()


NOTHING = Consequences()


def consequences(cause: Cause) -> Consequences:
    """Return what the change starts and ends: nothing for most, and for every webhook that ends a job at once."""
    if cause.after.version == 0:  # unknown, and stays so
        return NOTHING
    found = [each for each in (rule(cause) for rule in _RULES) if each is not NOTHING]
    if cause.also:
        found.append(Consequences(starts=cause.also))
    if not found:
        return NOTHING
    return Consequences(sum((each.starts for each in found), ()), sum((each.ends for each in found), ()))


def _fetch(cause: Cause) -> Consequences:
    """A result is fetched once fal has finished the job, also while it is being cancelled, until it is known."""
    before, after, update, patience = cause[:4]
    name = piece_id(Kind.FETCH, after.request_id)
    if after.status.terminal or after.keeping:
        may_exist = before is not None and before.progress.phase in {Phase.SAVING, Phase.CANCELLING}
        return Consequences(ends=(name,)) if may_exist else NOTHING
    if after.progress.phase is Phase.SAVING or isinstance(update, Finished):
        facts = msgspec.json.encode({"pause": patience}).decode()
        return Consequences(starts=(Start(name, Kind.FETCH, after.request_id, patience, facts),))
    return NOTHING


def _keep(cause: Cause) -> Consequences:
    """Files are copied from the moment their result is known until the job is completed."""
    before, after = cause.before, cause.after
    was = before is not None and before.keeping
    if after.keeping == was:
        return NOTHING
    name = piece_id(Kind.KEEP, after.request_id)
    if was:
        return Consequences(ends=(name,))
    facts = msgspec.json.encode({"since": after.updated_at}).decode()
    return Consequences(starts=(Start(name, Kind.KEEP, after.request_id, facts=facts),))


def _tidy(cause: Cause) -> Consequences:
    """What other attempts have left is removed once the files of a job are settled."""
    before, after, update = cause[:3]
    untidy = isinstance(update, Kept | Relinked) and update.untidy
    if not untidy or before is None or before.version == after.version:
        return NOTHING
    name = piece_id(Kind.TIDY, after.request_id)
    return Consequences(starts=(Start(name, Kind.TIDY, after.request_id, TIDY_SECONDS),))


def _tell(cause: Cause) -> Consequences:
    """The backend is told once of each event that it wants."""
    kind = _event(cause) if cause.tells else None
    if kind not in cause.tells or kind is None:
        return NOTHING
    after = cause.after
    return Consequences(
        starts=(telling(after.request_id, kind, after.version, after.completed_at or after.updated_at),)
    )


def _event(cause: Cause) -> EventType | None:
    """Return what the change is to the backend: of several events, the one that says most."""
    before, after = cause.before, cause.after
    if before is not None and (before.version == after.version or before.status.terminal):
        return None
    if after.status.terminal:
        return end_of(after.status)
    started = after.progress.started_at is not None and (before is None or before.progress.started_at is None)
    if started and EventType.STARTED in cause.tells:
        return EventType.STARTED
    wanted = EventType.PROGRESS in cause.tells and before is not None
    return EventType.PROGRESS if wanted and before is not None and _shown(before) != _shown(after) else None


def _shown(job: Job) -> Job:
    """Return a pending job without what clients do not see, and without what differs in each version."""
    return replace(
        job,
        version=0,
        updated_at=job.created_at,
        response_url=None,
        status_url=None,
        cancel_url=None,
        cancel_asked_at=None,
        keep=None,
        result=None,
        ended_by=None,
    )


class Telling(Struct, omit_defaults=True):
    """The facts of `tell`: the event, the version that it made, when, and how many attempts have failed."""

    type: EventType
    version: int
    at: datetime
    tries: int = 0


def telling(request_id: str, kind: EventType, version: int, at: datetime) -> Start:
    """Return the work of telling the backend of an event: one piece for each event, however often it is caused."""
    which = "ended" if kind in ENDS else "started" if kind is EventType.STARTED else str(version)
    facts = msgspec.json.encode(Telling(kind, version, at)).decode()
    return Start(f"{Kind.TELL}:{request_id}:{which}", Kind.TELL, request_id, facts=facts)


def end_of(status: JobStatus) -> EventType:
    """Return the event of a job's end with this status."""
    return _END_OF[status]


_END_OF: Mapping[JobStatus, EventType] = {
    JobStatus.COMPLETED: EventType.COMPLETED,
    JobStatus.FAILED: EventType.FAILED,
    JobStatus.CANCELLED: EventType.CANCELLED,
}


def erasure(request_id: str) -> Start:
    """Return the work of removing a removed job's files."""
    return Start(piece_id(Kind.ERASE, request_id), Kind.ERASE, request_id)


def relinking(request_id: str) -> Start:
    """Return the work of keeping the files of a job that was completed without them."""
    return Start(piece_id(Kind.RELINK, request_id), Kind.RELINK, request_id)


def piece_id(kind: Kind, request_id: str) -> str:
    """Return the id of the only piece of its kind that a job has at a time."""
    return f"{kind}:{request_id}"


_RULES: tuple[Callable[[Cause], Consequences], ...] = (_fetch, _keep, _tidy, _tell)
