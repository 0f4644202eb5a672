"""Notices when more updates of jobs come than a node can apply at once, so that other work gives way; pure."""

import time
from collections.abc import Callable

CROWD = 16
"""Updates under way on average that wait for one another. A node that keeps up has fewer than ten, at any rate."""
MIN_SECONDS = 0.01  # a shorter time says nothing


class Crowd:
    """The updates under way: each is applied within a `with` block. `timer` returns seconds."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._count = 0
        self._sum = 0.0  # seconds that all updates were under way, since `crowded` was called
        self._summed_at = self._asked_at = timer()

    def __enter__(self) -> None:
        self._add_up()
        self._count += 1

    def __exit__(self, *_: object) -> None:
        self._add_up()
        self._count -= 1

    def crowded(self) -> bool:
        """Return whether `CROWD` updates were under way on average since the last call, or twice as many are now."""
        now = self._add_up()
        seconds = max(now - self._asked_at, MIN_SECONDS)
        crowded = self._sum >= CROWD * seconds or self._count >= 2 * CROWD
        self._sum, self._asked_at = 0.0, now
        return crowded

    def _add_up(self) -> float:
        now = self._timer()
        self._sum += self._count * (now - self._summed_at)
        self._summed_at = now
        return now
