"""Which transport to use and how long to pause: pure, time and chance are passed in.

Server-sent events first. Where they cannot be had the client goes down to long polling, then to polling, and tries
again from the top later. Pauses have full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter").
"""

from collections.abc import Callable
from enum import Enum, StrEnum

BASE_SECONDS = 0.5
CAP_SECONDS = 15.0
STRIKES = 3
CLIMB_SECONDS = 60.0
MAX_CLIMB_SECONDS = 600.0


class Transport(StrEnum):
    """The rungs, best first."""

    SSE = "sse"
    LONG_POLL = "long-poll"
    POLL = "poll"


class Trouble(Enum):
    """What an attempt came to."""

    AWAY = "away"  # no connection: says nothing about the transport
    BROKEN = "broken"  # the server is busy, or the connection ended early: several times in a row = go down
    BARRED = "barred"  # this transport cannot be had here: go down at once
    OVER = "over"  # it did its work and ended as it should


_DOWN = {Transport.SSE: Transport.LONG_POLL, Transport.LONG_POLL: Transport.POLL, Transport.POLL: Transport.POLL}


class Ladder:
    """One watch's place. `jitter` answers 0…1; times are seconds of any clock that only goes forward."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self.transport = Transport.SSE
        self._jitter = jitter
        self._failures = 0
        self._strikes = 0
        self._climb_at = 0.0
        self._climb_after = CLIMB_SECONDS

    def climb(self, now: float) -> None:
        """Back to the top, when it is time."""
        if self.transport is not Transport.SSE and now >= self._climb_at:
            self.transport = Transport.SSE
            self._strikes = STRIKES - 1  # what failed before gets one attempt

    def worked(self) -> None:
        """The transport does what it should."""
        self._failures = self._strikes = 0
        if self.transport is Transport.SSE:
            self._climb_after = CLIMB_SECONDS

    def failed(self, trouble: Trouble, now: float, *, at_least: float = 0.0) -> float:
        """Take note, and answer the seconds to pause: never less than the server asked for."""
        if trouble is Trouble.OVER:
            return at_least
        last = self.transport is Transport.POLL
        if trouble is not Trouble.AWAY:
            self._strikes += 1
        if not last and (trouble is Trouble.BARRED or self._strikes >= STRIKES):
            self._go_down(now)
            if trouble is Trouble.BARRED:
                return 0.0
        self._failures += 1
        return max(at_least, self._jitter() * min(CAP_SECONDS, BASE_SECONDS * 2.0 ** min(self._failures, 10)))

    def _go_down(self, now: float) -> None:
        if self.transport is Transport.SSE:
            self._climb_at = now + self._climb_after
            self._climb_after = min(self._climb_after * 2, MAX_CLIMB_SECONDS)
        self.transport = _DOWN[self.transport]
        self._strikes = 0
