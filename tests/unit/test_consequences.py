"""The durable work that a change of a job starts or ends."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from msgspec import Raw

from hookcast.consequences import NOTHING, Cause, Consequences, Kind, Start, consequences, telling
from hookcast.eventtypes import ENDS, EventType
from hookcast.jobs import (
    CancelAsked,
    Cancelled,
    CancelRequested,
    Completed,
    Failed,
    Finished,
    Job,
    Phase,
    Progressed,
    Registered,
    Update,
    unseen,
)
from hookcast.transitions import advance

NOW = datetime(2026, 11, 24, tzinfo=UTC)
REGISTERED = Registered(endpoint_id="fal-ai/flux")
RUNNING, SAVING = Progressed(phase=Phase.RUNNING), Progressed(phase=Phase.SAVING)
FETCH = "fetch:job-1"
STARTED = Consequences(starts=(Start(FETCH, Kind.FETCH, "job-1", 0.0, '{"pause":0.0}'),))
ENDED = Consequences(ends=(FETCH,))


def caused(updates: Sequence[Update], patience: float = 0.0, tells: frozenset[EventType] = frozenset()) -> Consequences:
    """The consequences of the last of these updates."""
    before: Job | None = None
    for update in updates[:-1]:
        before = advance(before or unseen("job-1", now=NOW), update, now=NOW)
    after = advance(before or unseen("job-1", now=NOW), updates[-1], now=NOW)
    return consequences(Cause(before, after, updates[-1], patience, tells))


@pytest.mark.parametrize(
    "updates",
    [
        [REGISTERED],
        [REGISTERED, RUNNING],
        [Completed(Raw(b"1"))],
        [REGISTERED, Completed(Raw(b"1"))],
        [REGISTERED, RUNNING, Failed("no")],
        [REGISTERED, Completed(Raw(b"1")), Completed(Raw(b"1"))],
        [REGISTERED, Completed(Raw(b"1")), Finished()],
        [REGISTERED, CancelRequested()],
    ],
)
def test_the_usual_way_of_a_job_causes_no_work(updates: list[Update]) -> None:
    assert caused(updates) is NOTHING


@pytest.mark.parametrize(
    "updates",
    [
        [SAVING],
        [REGISTERED, SAVING],
        [REGISTERED, RUNNING, Finished()],
        [REGISTERED, SAVING, SAVING],
        [SAVING, REGISTERED],
        [REGISTERED, CancelRequested(), Finished()],
        [REGISTERED, CancelRequested(), Finished(), Finished()],
    ],
)
def test_a_result_is_to_be_fetched_once_fal_has_finished(updates: list[Update]) -> None:
    """Also when the report changes nothing, so that a piece that is missing is added."""
    assert caused(updates) == STARTED


def test_the_webhook_is_given_time_to_come_first() -> None:
    """The pauses of the fetch begin with it."""
    [start] = caused([REGISTERED, Finished()], patience=3.0).starts
    assert (start.after, start.facts) == (3.0, '{"pause":3.0}')


@pytest.mark.parametrize("end", [Completed(Raw(b"1")), Failed("no"), Cancelled()])
@pytest.mark.parametrize("path", [[SAVING], [REGISTERED, CancelRequested()], [REGISTERED, CancelRequested(), SAVING]])
def test_the_end_of_a_job_makes_its_fetch_needless(path: list[Update], end: Update) -> None:
    assert caused([*path, end]) == ENDED


EVERY = frozenset(EventType)
ENDED_OK = "tell:job-1:ended"


@pytest.mark.parametrize(
    ("updates", "told"),
    [
        ([Completed(Raw(b"1"))], (ENDED_OK, "job.completed", 1)),
        ([REGISTERED, RUNNING, Failed("no")], (ENDED_OK, "job.failed", 3)),
        ([REGISTERED, CancelRequested(), Failed("no")], (ENDED_OK, "job.cancelled", 3)),
        ([REGISTERED, Cancelled()], (ENDED_OK, "job.cancelled", 2)),
        ([RUNNING], ("tell:job-1:started", "job.started", 1)),
        ([REGISTERED, RUNNING], ("tell:job-1:started", "job.started", 2)),
        ([REGISTERED, Progressed(phase=Phase.QUEUED, queue_position=3)], ("tell:job-1:2", "job.progress", 2)),
        ([RUNNING, Registered(owner="user-1")], ("tell:job-1:2", "job.progress", 2)),
    ],
)
def test_the_backend_is_told_of_a_change_once(updates: list[Update], told: tuple[str, str, int]) -> None:
    name, kind, version = told
    starts = caused(updates, tells=EVERY).starts
    assert starts == (telling("job-1", EventType(kind), version, NOW),)
    assert starts[0].id == name
    assert caused([*updates, updates[-1]], tells=EVERY).starts == ()


@pytest.mark.parametrize(
    "updates",
    [
        [REGISTERED],
        [REGISTERED, CancelAsked()],
        [REGISTERED, Registered(response_url="https://queue.fal.run/x", keep=True)],
        [Completed(Raw(b"1")), Registered(owner="user-1")],
    ],
)
def test_what_clients_do_not_see_and_what_comes_after_the_end_is_not_told(updates: list[Update]) -> None:
    assert caused(updates, tells=EVERY) is NOTHING


def test_a_backend_is_told_only_what_it_wants() -> None:
    """A start that it does not want is progress."""
    assert caused([RUNNING], tells=ENDS) is NOTHING
    assert caused([Failed("no")], tells=frozenset({EventType.COMPLETED})) is NOTHING
    [start] = caused([REGISTERED, RUNNING], tells=frozenset({EventType.PROGRESS})).starts
    assert start.id == "tell:job-1:2"


def test_work_that_comes_with_an_update_is_caused_whatever_it_changes() -> None:
    job = advance(unseen("job-1", now=NOW), Completed(Raw(b"1")), now=NOW)
    also = (Start("relay:job-1:x", Kind.RELAY, "job-1"),)
    assert consequences(Cause(job, job, Completed(Raw(b"1")), also=also)).starts == also
