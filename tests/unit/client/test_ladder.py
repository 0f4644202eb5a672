"""Which transport, and how long to pause."""

import pytest

from hookcast.client.ladder import BASE_SECONDS, CAP_SECONDS, CLIMB_SECONDS, STRIKES, Ladder, Transport, Trouble


def ladder() -> Ladder:
    """One whose chance is always the worst."""
    return Ladder(lambda: 1.0)


def test_a_transport_that_cannot_be_had_is_left_at_once() -> None:
    """From one rung to the next; on the last one there is a pause instead."""
    ours = ladder()
    assert [ours.failed(Trouble.BARRED, 0.0) for _ in range(2)] == [0.0, 0.0]
    assert ours.transport is Transport.POLL
    assert ours.failed(Trouble.BARRED, 0.0) > 0
    assert ours.transport is Transport.POLL


def test_what_breaks_again_and_again_is_left_after_several_times_in_a_row() -> None:
    """Success in between starts the count again."""
    ours = ladder()
    for _ in range(STRIKES - 1):
        ours.failed(Trouble.BROKEN, 0.0)
    ours.worked()
    for _ in range(STRIKES - 1):
        ours.failed(Trouble.BROKEN, 0.0)
    seen = [ours.transport]
    ours.failed(Trouble.BROKEN, 0.0)
    assert [*seen, ours.transport] == [Transport.SSE, Transport.LONG_POLL]


def test_a_server_that_is_away_says_nothing_about_the_transport() -> None:
    """However often it is tried."""
    ours = ladder()
    for _ in range(100):
        ours.failed(Trouble.AWAY, 0.0)
    assert ours.transport is Transport.SSE


def test_pauses_double_up_to_a_cap_with_full_jitter() -> None:
    """Chance decides between nothing and the whole."""
    ours = ladder()
    pauses = [ours.failed(Trouble.AWAY, 0.0) for _ in range(40)]
    assert pauses[:3] == [BASE_SECONDS * 2, BASE_SECONDS * 4, BASE_SECONDS * 8]
    assert pauses[-1] == CAP_SECONDS
    assert Ladder(lambda: 0.0).failed(Trouble.AWAY, 0.0) == 0.0


@pytest.mark.parametrize("trouble", [Trouble.AWAY, Trouble.BROKEN, Trouble.OVER])
def test_no_pause_is_shorter_than_the_server_asked_for(trouble: Trouble) -> None:
    assert Ladder(lambda: 0.0).failed(trouble, 0.0, at_least=7.0) == 7.0


def test_it_climbs_back_later_and_ever_more_rarely() -> None:
    """One attempt each time; a stream that works makes all as it was."""
    ours, now = ladder(), 0.0
    ours.failed(Trouble.BARRED, now)
    for times in (1, 2, 4, 8, 10, 10):
        ours.climb(now + times * CLIMB_SECONDS - 0.1)
        seen = [ours.transport]
        now += times * CLIMB_SECONDS
        ours.climb(now)
        seen.append(ours.transport)
        ours.failed(Trouble.BROKEN, now)
        assert [*seen, ours.transport] == [Transport.LONG_POLL, Transport.SSE, Transport.LONG_POLL]
    ours.climb(now + 10 * CLIMB_SECONDS)
    ours.worked()
    ours.failed(Trouble.BARRED, 0.0)
    ours.climb(CLIMB_SECONDS)
    assert ours.transport is Transport.SSE
