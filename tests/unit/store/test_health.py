"""The log says once that the database is in trouble, and once that it is over."""

from structlog.testing import capture_logs

from hookcast.errors import StoreUnavailable, Trouble
from hookcast.store.health import CALM_SECONDS, Health

FULL = StoreUnavailable("Full.", Trouble.DISK_FULL)
AWAY = StoreUnavailable("Away.", Trouble.UNREACHABLE)


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.now


def test_trouble_is_told_once_however_often_it_shows() -> None:
    health = Health(clock := Clock())
    with capture_logs() as lines:
        for _ in range(100):
            health.failed(AWAY)
            clock.now += 1
        clock.now += CALM_SECONDS
        for _ in range(100):
            health.worked(wrote=False)
    assert [line["event"] for line in lines] == ["database_unavailable", "database_available"]
    assert (lines[0]["trouble"], lines[1]["after"]) == ("unreachable", 102.0)
    assert health.trouble is None


def test_failures_among_successes_are_one_trouble() -> None:
    """Small writes may fit onto a full disk."""
    health = Health(clock := Clock())
    with capture_logs() as lines:
        for _ in range(100):
            health.failed(FULL)
            health.worked(wrote=True)
            clock.now += CALM_SECONDS / 2
    assert [line["event"] for line in lines] == ["database_unavailable"]


def test_reads_end_no_trouble_of_writes() -> None:
    """They go on while the disk is full."""
    health = Health(clock := Clock())
    with capture_logs():
        health.failed(FULL)
        clock.now += 100
        health.worked(wrote=False)
        assert health.trouble is Trouble.DISK_FULL
        health.worked(wrote=True)
    assert health.trouble is None


def test_another_kind_of_trouble_is_told_but_not_each_turn_of_two() -> None:
    """One line for each `CALM_SECONDS` at most."""
    health = Health(clock := Clock())
    with capture_logs() as lines:
        for error in (AWAY, FULL, AWAY, FULL):
            health.failed(error)
        clock.now += CALM_SECONDS
        health.failed(FULL)
    assert [line["trouble"] for line in lines] == ["unreachable", "disk_full"]


def test_a_value_that_cannot_be_stored_is_no_trouble_of_the_database() -> None:
    health = Health(Clock())
    health.failed(StoreUnavailable("No.", Trouble.VALUE))
    assert health.trouble is None
