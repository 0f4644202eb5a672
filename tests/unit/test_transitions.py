"""The job's table of transitions."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
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
    Kept,
    MediaFile,
    MediaStatus,
    Phase,
    Progressed,
    Registered,
    Relinked,
    Update,
    unseen,
)
from hookcast.loglines import LogLine
from hookcast.splicing import Spot
from hookcast.transitions import CANCEL_COUNTS_FOR, TRANSITIONS, Report, Stage, advance, joined, report_of, stage_of

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=5)
RESULT = Raw(b'{"video":{"url":"https://v3.fal.media/a.mp4"}}')
FILE = MediaFile(source="https://v3.fal.media/a.mp4", spots=(Spot(16, 44),))
UPDATES: dict[Report, Update] = {
    Report.REGISTERED: Registered(owner="user-1"),
    Report.QUEUED: Progressed(phase=Phase.QUEUED, queue_position=7),
    Report.RUNNING: Progressed(phase=Phase.RUNNING, logs=(LogLine(message="new"),)),
    Report.SAVING: Progressed(phase=Phase.SAVING, logs=(LogLine(message="new"),)),
    Report.FINISHED: Finished(logs=(LogLine(message="new"),)),
    Report.CANCEL_ASKED: CancelAsked(),
    Report.CANCEL_REFUSED: CancelRefused(),
    Report.CANCEL_REQUESTED: CancelRequested(),
    Report.DELIVERED: Completed(result=RESULT, media=(FILE,)),
    Report.COPYING: Copying(media=(replace(FILE, status=MediaStatus.COPYING, bytes=7),)),
    Report.KEPT: Kept(result=RESULT, media=(replace(FILE, status=MediaStatus.KEPT, key="job-1/0.mp4"),)),
    Report.COMPLETED: Completed(result=Raw(b'{"seed":12345678901234567890}')),
    Report.FAILED: Failed(error="It broke."),
    Report.CANCELLED: Cancelled(),
    Report.RELINKED: Relinked(result=RESULT, media=(replace(FILE, status=MediaStatus.KEPT, key="job-1/0.mp4"),)),
}
ROUTES: dict[Stage, tuple[Report, ...]] = {
    Stage.QUEUED: (Report.QUEUED,),
    Stage.RUNNING: (Report.RUNNING,),
    Stage.SAVING: (Report.SAVING,),
    Stage.CANCELLING: (Report.CANCEL_REQUESTED,),
    Stage.KEEPING: (Report.DELIVERED,),
    Stage.COMPLETED: (Report.COMPLETED,),
    Stage.FAILED: (Report.FAILED,),
    Stage.CANCELLED: (Report.CANCELLED,),
}

NOTHING_TO_REFUSE = {Report.CANCEL_REFUSED}


def job_in(stage: Stage) -> Job:
    """A job that took the shortest way to `stage`."""
    job = advance(unseen("job-1", now=NOW), Registered(endpoint_id="fal-ai/flux"), now=NOW)
    for report in ROUTES[stage]:
        update = UPDATES[report]
        job = advance(job, replace(update, logs=()) if isinstance(update, Progressed) else update, now=NOW)
    return job


@pytest.mark.parametrize(("stage", "report"), TRANSITIONS.keys())
def test_every_pair_of_the_table_leads_where_it_says(stage: Stage, report: Report) -> None:
    """A report moves a job to the table's stage, one version on, or leaves the identical object."""
    job, target = job_in(stage), TRANSITIONS[stage, report]
    update = UPDATES[report]
    if report is Report.QUEUED:
        update = Progressed(phase=Phase.QUEUED, queue_position=1)
    after = advance(job, update, now=LATER)
    if target is None or (stage, report) == (Stage.CANCELLING, Report.CANCEL_REQUESTED) or report in NOTHING_TO_REFUSE:
        assert after is job
    else:
        assert stage_of(after) is target
        assert (after.version, after.updated_at) == (job.version + 1, LATER)


def test_what_ends_while_it_is_being_cancelled_keeps_that_in_mind() -> None:
    """fal calls a cancelled job COMPLETED, too: the failure that follows is the cancel, and a result a result."""
    finished = advance(job_in(Stage.CANCELLING), Finished(), now=LATER)
    assert finished.progress.phase is Phase.CANCELLING
    assert stage_of(advance(finished, Failed(error="Request was cancelled"), now=LATER)) is Stage.CANCELLED
    assert stage_of(advance(finished, Completed(result=Raw(b"1")), now=LATER)) is Stage.COMPLETED


@pytest.mark.parametrize("stage", [Stage.QUEUED, Stage.RUNNING, Stage.SAVING])
def test_a_failure_before_fal_has_answered_a_cancel_is_the_cancel(stage: Stage) -> None:
    """Whatever fal reports meanwhile; a result is a result; and what fal refuses has no effect."""
    asked = advance(advance(job_in(stage), CancelAsked(), now=NOW), Progressed(phase=Phase.RUNNING), now=NOW)
    ended = advance(asked, UPDATES[Report.FAILED], now=LATER, by=EndedBy.WEBHOOK)
    assert (stage_of(ended), ended.ended_by, ended.error) == (Stage.CANCELLED, EndedBy.CANCELLED, "It broke.")
    assert stage_of(advance(asked, UPDATES[Report.COMPLETED], now=LATER)) is Stage.COMPLETED
    refused = advance(asked, CancelRefused(), now=LATER)
    assert stage_of(advance(refused, UPDATES[Report.FAILED], now=LATER)) is Stage.FAILED


def test_a_cancel_without_an_answer_counts_for_a_while() -> None:
    """Long after it, a failure is the model's own; a new request counts anew."""
    late = NOW + CANCEL_COUNTS_FOR
    asked = advance(job_in(Stage.RUNNING), CancelAsked(), now=NOW)
    assert stage_of(advance(asked, UPDATES[Report.FAILED], now=late)) is Stage.FAILED
    again = advance(asked, CancelAsked(), now=LATER)
    assert stage_of(advance(again, UPDATES[Report.FAILED], now=late)) is Stage.CANCELLED


def test_a_repeated_report_changes_nothing() -> None:
    """The same update twice gives one version; a second cancel request has a time of its own."""
    for report, update in UPDATES.items():
        once = advance(job_in(Stage.QUEUED), update, now=NOW)
        assert advance(once, update, now=NOW if report is Report.CANCEL_ASKED else LATER) is once, report


def test_registration_of_an_ended_job_only_adds_labels() -> None:
    """Names that come after the webhook are filled in; status and result stay."""
    ended = advance(unseen("job-1", now=NOW), UPDATES[Report.COMPLETED], now=NOW)
    named = advance(ended, Registered(owner="u", group="g", metadata={"a": Raw(b"1")}), now=LATER)
    assert (named.owner, named.group, dict(named.metadata)) == ("u", "g", {"a": Raw(b"1")})
    assert (named.status, named.result, named.completed_at) == (ended.status, ended.result, NOW)
    assert advance(named, Registered(owner="thief", metadata={"a": Raw(b"2")}), now=LATER) is named


def test_only_the_last_50_log_lines_are_kept_and_repeats_are_dropped() -> None:
    """A status stream that is opened again tells all lines anew."""
    lines = tuple(LogLine(message=str(i), timestamp=f"2026-11-24T10:00:{i:02}Z") for i in range(60))
    once = advance(job_in(Stage.QUEUED), Progressed(phase=Phase.RUNNING, logs=lines), now=NOW)
    assert once.progress.logs == lines[10:]
    assert advance(once, Progressed(phase=Phase.RUNNING, logs=lines), now=LATER) is once


@pytest.mark.parametrize("stage", [Stage.QUEUED, Stage.RUNNING, Stage.SAVING, Stage.CANCELLING])
def test_the_progress_of_an_ended_job_says_so_and_stays_as_it_was_otherwise(stage: Stage) -> None:
    """Position, log lines and times are what they were; only the phase is `ended`."""
    job = job_in(stage)
    ended = advance(job, UPDATES[Report.COMPLETED], now=LATER, by=EndedBy.WEBHOOK)
    assert ended.progress == replace(job.progress, phase=Phase.ENDED)
    assert (job.ended_by, ended.ended_by) == (None, EndedBy.WEBHOOK)


@pytest.mark.parametrize("by", list(EndedBy))
def test_a_cancelled_job_was_ended_by_that_whoever_reports_it(by: EndedBy) -> None:
    """fal removed it, or its failure is what the cancel has left."""
    for stage, report in ((Stage.QUEUED, Report.CANCELLED), (Stage.CANCELLING, Report.FAILED)):
        assert advance(job_in(stage), UPDATES[report], now=LATER, by=by).ended_by is EndedBy.CANCELLED
    assert advance(job_in(Stage.CANCELLING), UPDATES[Report.COMPLETED], now=LATER, by=by).ended_by is by


def test_a_late_report_does_not_change_how_a_job_ended() -> None:
    ended = advance(job_in(Stage.RUNNING), UPDATES[Report.FAILED], now=NOW, by=EndedBy.TIMEOUT)
    assert advance(ended, UPDATES[Report.COMPLETED], now=LATER, by=EndedBy.WEBHOOK) is ended
    assert advance(ended, Registered(group="g"), now=LATER, by=EndedBy.ASKED).ended_by is EndedBy.TIMEOUT


def test_running_remembers_when_it_began_and_forgets_the_queue() -> None:
    """`startedAt` is the time of the first running report."""
    queued = advance(job_in(Stage.QUEUED), Progressed(phase=Phase.QUEUED, queue_position=3), now=NOW)
    running = advance(queued, Progressed(phase=Phase.RUNNING), now=LATER)
    again = advance(running, UPDATES[Report.RUNNING], now=LATER + timedelta(seconds=1))
    assert (again.progress.started_at, again.progress.queue_position) == (LATER, None)


@given(st.lists(st.sampled_from(list(UPDATES.values())), max_size=30))
def test_a_terminal_job_never_changes_and_versions_only_grow(updates: list[Update]) -> None:
    job = unseen("job-1", now=NOW)
    for update in updates:
        after = advance(job, update, now=LATER)
        assert after is job or after.version == job.version + 1
        if job.status.terminal:
            assert after is job or report_of(update) in {Report.REGISTERED, Report.RELINKED}
            kept = ["status", "error", "error_detail", "ended_by", "progress", "completed_at"]
            kept += ["result"] if report_of(update) is not Report.RELINKED else []
            assert all(getattr(after, name) == getattr(job, name) for name in kept)
        job = after


@pytest.mark.parametrize("report", Report)
@pytest.mark.parametrize("stage", Stage)
def test_what_was_intended_joins_a_report_in_one_version(stage: Stage, report: Report) -> None:
    """Also a report that comes too late; and nothing changes when neither is news."""
    job, update = job_in(stage), UPDATES[report]
    facts = Registered(owner="user-2", group="g", metadata={"n": Raw(b"1")})
    both = joined(job, facts, update, now=LATER, by=EndedBy.WEBHOOK)
    assert (both.version, both.owner, both.group, both.updated_at) == (job.version + 1, "user-2", "g", LATER)
    alone = advance(job, update, now=LATER, by=EndedBy.WEBHOOK)
    assert (stage_of(both), both.result, both.ended_by) == (stage_of(alone), alone.result, alone.ended_by)
    if alone is job:
        assert joined(both, facts, update, now=LATER) is both


def test_what_was_intended_makes_an_unknown_job() -> None:
    facts = Registered(endpoint_id="fal-ai/flux", owner="user-1")
    made = joined(unseen("job-1", now=NOW), facts, Completed(result=Raw(b"1")), now=LATER)
    assert (made.version, made.owner, made.created_at, made.completed_at) == (1, "user-1", NOW, LATER)


def test_links_to_files_that_were_copied_later_leave_the_end_of_a_job_as_it_was() -> None:
    """And they are set once: what a node that lost its lease reports later changes nothing."""
    job, update = job_in(Stage.COMPLETED), UPDATES[Report.RELINKED]
    after = advance(job, update, now=LATER)
    assert isinstance(update, Relinked)
    assert after == replace(job, result=RESULT, media=update.media, version=job.version + 1, updated_at=LATER)
    other = Relinked(result=RESULT, media=(replace(FILE, status=MediaStatus.LEFT),))
    assert advance(after, other, now=LATER) is after
