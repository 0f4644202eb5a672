"""Copies give way to webhooks."""

from collections.abc import Callable

from hookcast.media.precedence import LONGEST_SECONDS, PACE_SECONDS, RECENT_SECONDS, Precedence


class Time:
    """A clock that sleeping moves on; after `until` seconds it calls `then`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.until = float("inf")
        self.leave: Callable[[], None] = lambda: None

    def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        self.now += seconds
        if self.now >= self.until:
            self.until = float("inf")
            self.leave()


def test_without_webhooks_a_copy_goes_on_at_once() -> None:
    time = Time()
    Precedence(lambda: time.now, time.sleep).give_way()
    assert time.now == 0.0


def test_a_copy_waits_until_the_last_webhook_is_taken() -> None:
    time = Time()
    precedence = Precedence(lambda: time.now, time.sleep)
    with precedence:
        pass
    precedence.__enter__()
    time.until, time.leave = LONGEST_SECONDS / 2, lambda: precedence.__exit__(None, None, None)
    precedence.give_way()
    assert LONGEST_SECONDS / 2 <= time.now < LONGEST_SECONDS * 0.7


def test_a_copy_goes_on_after_a_moment_though_webhooks_never_end() -> None:
    time = Time()
    precedence = Precedence(lambda: time.now, time.sleep)
    with precedence:
        precedence.give_way()
    assert LONGEST_SECONDS <= time.now < LONGEST_SECONDS * 1.3


def test_soon_after_a_webhook_a_copy_goes_on_slowly() -> None:
    time = Time()
    precedence = Precedence(lambda: time.now, time.sleep)
    with precedence:
        pass
    precedence.give_way()
    precedence.give_way()
    assert time.now == 2 * PACE_SECONDS
    time.now = RECENT_SECONDS
    precedence.give_way()
    assert time.now == RECENT_SECONDS
