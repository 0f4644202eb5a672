"""Choice of transport and retry delay; pure: clock and randomness are passed in.

Server-sent events first. Where they are not available the client falls back to long polling, then to polling, and
retries from the top later. Delays have full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter").
"""

from collections.abc import Callable
from enum import Enum, StrEnum

BASE_SECONDS = 0.5
CAP_SECONDS = 15.0
STRIKES = 3
CLIMB_SECONDS = 60.0
MAX_CLIMB_SECONDS = 600.0


class Transport(StrEnum):
    """The transports, most preferred first."""

    SSE = "sse"
    LONG_POLL = "long-poll"
    POLL = "poll"


class Trouble(Enum):
    """The end of an attempt."""

    AWAY = "away"  # no connection: not the transport's fault
    BROKEN = "broken"  # server busy, or connection ended early: fall back after several in a row
    BARRED = "barred"  # the transport is not available here: fall back at once
    OVER = "over"  # the attempt ended normally


_DOWN = {Transport.SSE: Transport.LONG_POLL, Transport.LONG_POLL: Transport.POLL, Transport.POLL: Transport.POLL}


class Ladder:
    """Transport state of one watch. `jitter` returns 0…1; times are seconds of any monotonic clock."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self.transport = Transport.SSE
        self._jitter = jitter
        self._failures = 0
        self._strikes = 0
        self._climb_at = 0.0
        self._climb_after = CLIMB_SECONDS

    def climb(self, now: float) -> None:
        """Return to SSE once the fallback period is over."""
        if self.transport is not Transport.SSE and now >= self._climb_at:
            self.transport = Transport.SSE
            self._strikes = STRIKES - 1  # it failed before: one failure falls back again

    def worked(self) -> None:
        """Record that the transport works: reset the failure counters."""
        self._failures = self._strikes = 0
        if self.transport is Transport.SSE:
            self._climb_after = CLIMB_SECONDS

    def failed(self, trouble: Trouble, now: float, *, at_least: float = 0.0) -> float:
        """Record a failed attempt and return the seconds to pause, at least what the server asked for."""
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
