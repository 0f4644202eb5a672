"""When what was not delivered is sent again."""

import pytest

from hookcast.fal.signature import WINDOW_SECONDS
from hookcast.forward.schedule import RELAY_RETRIES, RETRIES, pause

DAY = 86_400.0


def test_the_schedule_is_the_specifications() -> None:
    """5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h; then it ends."""
    found = [pause(tries, RETRIES, None, 0.5) for tries in range(1, 11)]
    assert found == [5, 300, 1800, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, DAY, None]


def test_the_attempts_of_many_are_spread() -> None:
    assert [pause(9, RETRIES, None, luck) for luck in (0.0, 1.0)] == [
        pytest.approx(0.9 * DAY),
        pytest.approx(1.1 * DAY),
    ]


@pytest.mark.parametrize(("after", "seconds"), [(None, 300), (0.0, 300), (60.0, 300), (3600.0, 3600), (DAY, DAY)])
def test_a_receiver_may_ask_for_more_time_and_never_for_less(after: float | None, seconds: float) -> None:
    assert pause(2, RETRIES, after, 0.5) == seconds


def test_fals_signature_is_valid_in_five_attempts() -> None:
    early = [pause(tries, RELAY_RETRIES, None, 1.0) or 0.0 for tries in range(1, 5)]
    assert sum(early) < WINDOW_SECONDS
    assert pause(5, RELAY_RETRIES, None, 0.5) == RETRIES[2]
