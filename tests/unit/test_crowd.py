"""A node notices when updates wait for one another."""

import pytest

from hookcast.crowd import CROWD, Crowd


@pytest.mark.parametrize(("count", "crowded"), [(CROWD, True), (CROWD - 1, False), (0, False)])
def test_a_crowd_is_what_is_under_way_on_average(count: int, *, crowded: bool) -> None:
    """Over the time since it was asked last; those that are still under way count in the next period, too."""
    now = [1000.0]
    crowd = Crowd(lambda: now[0])
    for _ in range(count):
        crowd.__enter__()
    for _ in range(2):
        now[0] += 0.5
        assert crowd.crowded() is crowded
    for _ in range(count):
        crowd.__exit__()
    now[0] += 0.5
    assert not crowd.crowded()


def test_many_short_ones_are_no_crowd() -> None:
    """Of a thousand a second that take a millisecond each, one is under way on average."""
    now = [1000.0]
    crowd = Crowd(lambda: now[0])
    for _ in range(1000):
        with crowd:
            now[0] += 0.001
    assert not crowd.crowded()


def test_a_burst_is_a_crowd_at_once_but_not_for_long() -> None:
    """A hundred at once for a moment: afterwards counts how long they waited."""
    now = [1000.0]
    crowd = Crowd(lambda: now[0])
    for _ in range(100):
        crowd.__enter__()
    assert crowd.crowded()
    now[0] += 0.01
    for _ in range(100):
        crowd.__exit__()
    now[0] += 0.99
    assert not crowd.crowded()
