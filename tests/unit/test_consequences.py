"""The durable work that a change of a job starts or ends."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from msgspec import Raw

from hookcast.consequences import NOTHING, Cause, Consequences, Kind, Start, consequences
from hookcast.jobs import (
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


def caused(updates: Sequence[Update], patience: float = 0.0) -> Consequences:
    """The consequences of the last of these updates."""
    before: Job | None = None
    for update in updates[:-1]:
        before = advance(before or unseen("job-1", now=NOW), update, now=NOW)
    after = advance(before or unseen("job-1", now=NOW), updates[-1], now=NOW)
    return consequences(Cause(before, after, updates[-1], patience))


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
