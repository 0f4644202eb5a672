"""Which webhooks a stream of states stands for."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hookcast.cli.listening import Events
from hookcast.client import Job, LogLine, Progress
from hookcast.eventtypes import ENDS, EventType

BEGIN = datetime(2026, 11, 29, 10, tzinfo=UTC)


def job(version: int, status: str = "pending", seconds: float = 1.0, **facts: Any) -> Job:
    """A state that was made some seconds after the beginning."""
    at = BEGIN + timedelta(seconds=seconds)
    ended = None if status == "pending" else at
    times = {"created_at": BEGIN, "updated_at": at, "completed_at": ended}
    return Job(**{"request_id": "job-1", "version": version, "status": status, **times, **facts})


def types(events: Events, *states: Job) -> list[tuple[str, int]]:
    """The events of these states, with the versions that made them."""
    return [(found.type.value, found.version) for state in states for found in events.of(state)]


def test_each_end_is_told_once() -> None:
    """Whichever it is; what comes of the job later is no end."""
    for status in ("completed", "failed", "cancelled"):
        events = Events(ENDS, BEGIN)
        assert types(events, job(1), job(2, status), job(3, status)) == [(f"job.{status}", 2)]


def test_a_job_that_was_not_seen_before_is_told_if_it_ended_since_the_beginning() -> None:
    """It ended while there was no connection; what ended before is somebody else's news."""
    events = Events(ENDS, BEGIN)
    assert types(events, job(5, "completed", 0.0)) == [("job.completed", 5)]
    assert types(events, job(5, "completed", -1.0, request_id="old")) == []
    assert types(events, job(6, "completed", -1.0, request_id="old", owner="u")) == []


def test_starts_and_progress_are_told_where_they_are_wanted() -> None:
    """The start says more than progress; a state that shows nothing new is none, nor is the first one that is seen."""
    running = Progress(phase="running", started_at=BEGIN)
    logged = Progress(phase="running", started_at=BEGIN, logs=(LogLine(message="50%"),))
    states = (
        job(1),
        job(2),
        job(3, progress=running),
        job(4, progress=logged),
        job(5, progress=logged),
        job(6, "failed"),
    )
    assert types(Events(frozenset(EventType), BEGIN), *states) == [
        ("job.started", 3),
        ("job.progress", 4),
        ("job.failed", 6),
    ]
    only = frozenset({EventType.PROGRESS})
    assert types(Events(only, BEGIN), *states) == [("job.progress", 3), ("job.progress", 4)]


def test_the_memory_of_jobs_is_bounded() -> None:
    events = Events(ENDS, BEGIN)
    for number in range(20_100):
        types(events, job(1, request_id=f"job-{number}"))
    assert len(events._known) == 20_000
