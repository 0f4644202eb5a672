"""The state machine of a job: one transition table; pure, `now` is passed in.

A job is in one of eight stages: four are phases of a pending job, `keeping` is the second half of phase `saving`, in
which the result is known and its files are copied, and three are terminal. A report that does not fit the
stage (late, repeated, out of order) changes nothing: `advance` then returns the very same object.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec.structs import replace

from hookcast.jobs import (
    CancelAsked,
    Cancelled,
    CancelRefused,
    CancelRequested,
    Completed,
    Copying,
    EndedBy,
    Failed,
    Finished,
    Job,
    JobStatus,
    Kept,
    Phase,
    Progressed,
    Registered,
    Relinked,
    Update,
)
from hookcast.loglines import aligned

CANCEL_COUNTS_FOR = timedelta(minutes=10)
"""How long a cancel request counts to which fal has not answered: it may have been taken."""


class Stage(StrEnum):
    """A row of the table: the phase of a pending job, `keeping`, or the terminal status."""

    QUEUED = "queued"
    RUNNING = "running"
    SAVING = "saving"
    CANCELLING = "cancelling"
    KEEPING = "keeping"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Report(StrEnum):
    """A column of the table: the kind of update."""

    REGISTERED = "registered"
    QUEUED = "queued"
    RUNNING = "running"
    SAVING = "saving"
    FINISHED = "finished"
    CANCEL_ASKED = "cancel_asked"
    CANCEL_REFUSED = "cancel_refused"
    CANCEL_REQUESTED = "cancel_requested"
    DELIVERED = "delivered"
    COPYING = "copying"
    KEPT = "kept"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RELINKED = "relinked"


# One row per stage, columns in the order of `Report`; None = the report is late or repeated and changes nothing.
# A queued job can move to any stage. A cancelling job no longer changes phase, though fal keeps reporting them, unless
# its result turns out to be ready. A failure while cancelling counts as cancelled, and `advance` sees to
# one that comes before fal has answered our request. A result that was delivered is the outcome, whatever comes later.
# A terminal job changes no more, but a completed one may get links to files that were copied later.
_Q, _R, _S, _X, _K = Stage.QUEUED, Stage.RUNNING, Stage.SAVING, Stage.CANCELLING, Stage.KEEPING
_OK, _BAD, _OFF = Stage.COMPLETED, Stage.FAILED, Stage.CANCELLED
_ROWS: dict[Stage, tuple[Stage | None, ...]] = {
    # registered queued running saving finished asked refused cancel delivered copying kept ok bad off relinked
    _Q: (_Q, _Q, _R, _S, _S, _Q, _Q, _X, _K, None, None, _OK, _BAD, _OFF, None),
    _R: (_R, None, _R, _S, _S, _R, _R, _X, _K, None, None, _OK, _BAD, _OFF, None),
    _S: (_S, None, None, _S, _S, _S, _S, None, _K, None, None, _OK, _BAD, _OFF, None),
    _X: (_X, None, None, _S, _X, None, None, _X, _K, None, None, _OK, _OFF, _OFF, None),
    _K: (_K, None, None, None, None, None, None, None, None, _K, _OK, None, None, None, None),
    _OK: (_OK, *[None] * 13, _OK),
    **{end: (end, *[None] * 14) for end in (_BAD, _OFF)},
}
TRANSITIONS: Mapping[tuple[Stage, Report], Stage | None] = {
    (stage, report): target for stage, row in _ROWS.items() for report, target in zip(Report, row, strict=True)
}


_PHASES: Mapping[Stage, Phase] = {Stage(phase): phase for phase in Phase if phase is not Phase.ENDED}


def stage_of(job: Job) -> Stage:
    """Return the table's row for this job."""
    return Stage.KEEPING if job.keeping else Stage(job.status if job.status.terminal else job.progress.phase)


_REPORTS: Mapping[type[Update], Report] = {
    Registered: Report.REGISTERED,
    Finished: Report.FINISHED,
    CancelAsked: Report.CANCEL_ASKED,
    CancelRefused: Report.CANCEL_REFUSED,
    CancelRequested: Report.CANCEL_REQUESTED,
    Completed: Report.COMPLETED,
    Copying: Report.COPYING,
    Kept: Report.KEPT,
    Failed: Report.FAILED,
    Cancelled: Report.CANCELLED,
    Relinked: Report.RELINKED,
}


def report_of(update: Update) -> Report:
    """Return the table's column for this update."""
    match update:
        case Progressed(phase=phase):
            return Report(phase)
        case Completed(media=media) if media:
            return Report.DELIVERED
        case _:
            return _REPORTS[type(update)]


def advance(job: Job, update: Update, *, now: datetime, by: EndedBy = EndedBy.ASKED) -> Job:
    """Return the job after `update`, one version newer; the same object when nothing changes.

    A job at version 0 becomes version 1 with its first update, whatever that contains. `by` says how the end became
    known, if the update is one.
    """
    report = report_of(update)
    if report is Report.FAILED and _being_cancelled(job, now):
        report = Report.CANCELLED
    target = TRANSITIONS[stage_of(job), report]
    if target is None or (report is Report.RELINKED and job.media):  # these have been settled
        return job
    changed = _fill(job, update, now)
    if target is Stage.KEEPING:
        changed = _enter(changed if job.keeping else replace(changed, ended_by=by), Phase.SAVING, now)
    elif target in _PHASES:
        changed = _enter(changed, _PHASES[target], now)
    elif not job.status.terminal:
        changed = _end(changed, JobStatus(target), update, now, by)
    if changed == job and job.version > 0:
        return job
    return replace(changed, version=job.version + 1, updated_at=max(now, job.updated_at))


def joined(job: Job, facts: Registered, update: Update, *, now: datetime, by: EndedBy = EndedBy.ASKED) -> Job:
    """Return the job after `facts` and `update` together, one version newer; the same object when neither is news."""
    known = registered(job, facts)
    after = advance(known, update, now=now, by=by)
    return advance(job, facts, now=now) if after is known else after


def _being_cancelled(job: Job, now: datetime) -> bool:
    """Return whether fal was asked to cancel the job and has not answered."""
    return job.cancel_asked_at is not None and now - job.cancel_asked_at < CANCEL_COUNTS_FOR


def _fill(job: Job, update: Update, now: datetime) -> Job:
    """Add what the update contains besides the stage: names, labels, queue position, log lines, the result."""
    match update:
        case Registered():
            return registered(job, update)
        case Progressed(queue_position=position, logs=logs):
            progress = replace(job.progress, queue_position=position, logs=aligned(job.progress.logs, logs))
            return replace(job, progress=progress)
        case Finished(logs=logs):
            return replace(job, progress=replace(job.progress, logs=aligned(job.progress.logs, logs)))
        case CancelAsked() | CancelRefused():
            return replace(job, cancel_asked_at=now if isinstance(update, CancelAsked) else None)
        case Completed() | Copying() | Kept() | Relinked():
            result = job.result if isinstance(update, Copying) else update.result
            return replace(job, result=result, media=update.media)
        case _:
            return job


def registered(job: Job, update: Registered) -> Job:
    """Return the job with the facts that it lacked, at the same version."""
    progress = job.progress
    if not job.status.terminal:
        expected = progress.expected_seconds
        if expected is None:
            progress = replace(progress, expected_seconds=update.expected_seconds)
        if progress.phase is Phase.QUEUED and progress.queue_position is None:
            progress = replace(progress, queue_position=update.queue_position)
    return replace(
        job,
        endpoint_id=job.endpoint_id or update.endpoint_id,
        response_url=job.response_url or update.response_url,
        status_url=job.status_url or update.status_url,
        cancel_url=job.cancel_url or update.cancel_url,
        owner=job.owner if job.owner is not None else update.owner,
        group=job.group if job.group is not None else update.group,
        metadata={**update.metadata, **job.metadata},
        keep=job.keep if job.keep is not None else update.keep,
        retry_of=job.retry_of or update.retry_of,
        progress=progress,
    )


def _end(job: Job, status: JobStatus, update: Update, now: datetime, by: EndedBy) -> Job:
    ended = replace(
        job,
        status=status,
        progress=replace(job.progress, phase=Phase.ENDED),
        ended_by=EndedBy.CANCELLED if status is JobStatus.CANCELLED else job.ended_by or by,
        completed_at=max(now, job.created_at),
    )
    if isinstance(update, Failed):
        return replace(ended, error=update.error, error_detail=update.detail)
    return ended


def _enter(job: Job, phase: Phase, now: datetime) -> Job:
    progress = job.progress
    started = progress.started_at
    if phase is Phase.RUNNING and started is None:
        started = now
    position = progress.queue_position if phase is Phase.QUEUED else None
    return replace(job, progress=replace(progress, phase=phase, queue_position=position, started_at=started))
