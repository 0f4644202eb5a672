"""The lines that a change of a job writes; pure."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from hookcast.jobs import (
    CancelAsked,
    CancelRefused,
    CancelRequested,
    Job,
    MediaFile,
    MediaStatus,
    Phase,
    Registered,
    Update,
)
from hookcast.journal.lines import Event, Line, line

ACCEPTED = "accepted"


class Happening(NamedTuple):
    """A report that reached a job, whether it changed anything or not.

    `source` is `webhook`, `fal` or `hookcast`, `by` the caller that asked for the change, `now` the time. `asked_at`
    and `key` are of the submit that the report settled: when it was asked for, by `by`, and whether it had a key.
    """

    update: Update
    source: str
    now: datetime
    by: str | None = None
    asked_at: datetime | None = None
    key: bool = False


def lines_of(before: Job | None, after: Job, happening: Happening) -> tuple[Line, ...]:
    """Return the lines, in order. An unknown job that stays unknown has none; the job that it retries has one, too."""
    if after.version == 0:
        return ()
    return tuple(_lines(before, after, happening))


def _lines(before: Job | None, after: Job, happening: Happening) -> Iterator[Line]:
    name, now, update = after.request_id, happening.now, happening.update
    changed = before is None or before.version != after.version
    if happening.asked_at is not None:
        yield line(name, Event.SUBMITTED, happening.asked_at, by=happening.by, idempotency_key=happening.key or None)
        if after.retry_of is not None:
            yield line(after.retry_of, Event.RETRIED, happening.asked_at, **{"as": name}, by=happening.by)
    if isinstance(update, Registered) and changed:
        yield _registered(before, after, happening)
    if happening.source == "webhook" and not (changed and _ended(before, after)):  # else it is in the line of the end
        yield line(name, Event.WEBHOOK, now, answer=ACCEPTED if changed else "duplicate")
    if isinstance(update, CancelAsked):
        yield line(name, Event.CANCEL_ASKED, now, by=happening.by)
    if isinstance(update, CancelRefused):
        yield line(name, Event.CANCEL_REFUSED, now)
    if changed:
        yield from _entered(before, after, happening)


def _registered(before: Job | None, after: Job, happening: Happening) -> Line:
    fresh = after.response_url is not None and (before is None or before.response_url is None)
    if fresh:
        position = after.progress.queue_position
        return line(after.request_id, Event.ACCEPTED, happening.now, queue_position=position)
    return line(after.request_id, Event.REGISTERED, happening.now, by=happening.by)


def _entered(before: Job | None, after: Job, happening: Happening) -> Iterator[Line]:
    """Yield the lines of what the job has reached with this change."""
    name, now = after.request_id, happening.now
    was = None if before is None else before.progress.phase
    phase = after.progress.phase
    if phase is Phase.RUNNING and was is not Phase.RUNNING:
        yield line(name, Event.RUNNING, now)
    if phase is Phase.SAVING and was is not Phase.SAVING:
        files = len(after.media) if after.keeping else None
        yield line(name, Event.SAVING, now, files=files)
    if isinstance(happening.update, CancelRequested):
        yield line(name, Event.CANCELLING, now)
    yield from _files(() if before is None else before.media, after, now)
    if _ended(before, after):
        facts = {"status": after.status, "ended_by": after.ended_by, "error": after.error}
        yield line(name, Event.ENDED, now, **facts, webhook=ACCEPTED if happening.source == "webhook" else None)


def _ended(before: Job | None, after: Job) -> bool:
    return after.status.terminal and not (before is not None and before.status.terminal)


def _files(before: tuple[MediaFile, ...], after: Job, now: datetime) -> Iterator[Line]:
    for number, file in enumerate(after.media):
        was = before[number].status if number < len(before) else MediaStatus.WAITING
        if was.settled or not file.status.settled:
            continue
        if file.status is MediaStatus.KEPT:
            yield line(after.request_id, Event.FILE_KEPT, now, file=number, bytes=file.bytes)
        else:
            yield line(after.request_id, Event.FILE_LEFT, now, file=number, source=file.source, error=file.error)
