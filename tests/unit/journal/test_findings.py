"""What a journal says about its job."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hookcast.jobs import EndedBy, JobStatus
from hookcast.journal import ROOM, Case, Event, findings
from hookcast.journal.findings import Shown

NOW = datetime(2026, 11, 29, tzinfo=UTC)
ENDED: tuple[Event, dict[str, Any]] = (Event.ENDED, {})
WATCHED = (Event.WATCHED, {"transport": "sse"})


def found(*lines: tuple[Event, dict[str, Any]], status: str = "completed", by: str | None = "webhook") -> list[str]:
    """Return the codes of the findings of a job with these lines, one second apart."""
    told = [Shown(event, NOW + timedelta(seconds=number), facts) for number, (event, facts) in enumerate(lines)]
    ended_by = None if by is None else EndedBy(by)
    return [finding.code for finding in findings(Case(JobStatus(status), ended_by, "no", told))]


@pytest.mark.parametrize(
    ("lines", "facts", "codes"),
    [
        ([WATCHED, (Event.WEBHOOK, {"answer": "accepted"}), ENDED, (Event.PUSHED, {"to": 1})], {}, ["pushed"]),
        ([ENDED, (Event.WATCHED, {"transport": "poll"})], {}, ["read"]),
        ([ENDED], {"by": "asked"}, ["webhook_lost", "never_watched"]),
        ([ENDED], {"by": "timeout", "status": "failed"}, ["timed_out", "never_watched"]),
        ([ENDED], {"by": "cancelled", "status": "cancelled"}, ["cancelled", "never_watched"]),
        ([(Event.ASKED, {"answer": "queued"})], {"status": "pending", "by": None}, ["not_ended"]),
        ([ENDED, (Event.TOLD, {"type": "job.completed", "ok": True})], {}, ["never_watched", "told"]),
        ([ENDED, (Event.TOLD, {"type": "job.completed", "status": 500})], {}, ["never_watched", "backend_failed"]),
    ],
)
def test_each_way_of_a_job_is_explained(
    lines: list[tuple[Event, dict[str, Any]]], facts: dict[str, Any], codes: list[str]
) -> None:
    assert found(*lines, **facts) == codes


def test_a_poll_before_a_stream_is_no_fall_back() -> None:
    polled = (Event.WATCHED, {"transport": "poll"})
    assert "fell_back" not in found(polled, WATCHED, ENDED)
    assert "fell_back" in found(WATCHED, polled, ENDED)


def test_the_last_attempt_to_tell_the_backend_counts() -> None:
    failed, worked = {"type": "job.completed", "status": 500}, {"type": "job.completed", "ok": True, "attempt": 2}
    assert "told" in found(ENDED, (Event.TOLD, failed), (Event.TOLD, worked))
    assert "backend_failed" in found(ENDED, (Event.TOLD, worked), (Event.TOLD, failed))


def test_a_backend_that_is_told_again_was_not_given_up() -> None:
    """What was given up before the redelivery is the past."""
    last = {"type": "job.completed", "status": 500}
    again = {**last, "next": "2026-11-29T10:00:05.000Z"}
    given_up = (Event.GIVEN_UP, {"type": "job.completed"})
    lines = [Shown(event, NOW, facts) for event, facts in ((Event.TOLD, last), given_up, (Event.TOLD, again))]
    for shown, words in ((lines[:2], "has given up"), (lines, "the next attempt is at 2026-11-29T10:00:05.000Z")):
        [finding] = findings(Case(JobStatus.PENDING, None, None, shown))[1:]
        assert words in finding.message


def test_a_backend_that_cannot_be_reached_did_not_answer() -> None:
    facts = {"type": "job.completed", "error": "ConnectionRefusedError: no", "next": "soon"}
    case = Case(JobStatus.PENDING, None, None, [Shown(Event.TOLD, NOW, facts)])
    assert findings(case)[-1].message.startswith("Your backend could not be told job.completed (ConnectionRefused")


@pytest.mark.parametrize(("count", "words"), [(3, "fal's last answer: queued"), (ROOM, "")])
def test_the_last_answer_of_fal_is_told_while_the_journal_has_it(count: int, words: str) -> None:
    """Once it has no room for further answers, the last one that it has is old."""
    lines = [Shown(Event.ASKED, NOW, {"answer": "queued"})] * count
    [finding] = findings(Case(JobStatus.PENDING, None, None, lines))
    assert words in finding.message
    assert ("queued" in finding.message) is bool(words)
