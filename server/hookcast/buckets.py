"""Token buckets of many holders: so much at once, and so much more each second; pure.

The generic cell rate algorithm (ITU-T I.371): of each bucket only the moment is kept at which it is full again, and
nothing of one that is full.
"""

from collections.abc import Callable

KEPT = 100_000  # holders; of those who came longest ago the bucket is taken to be full


class Buckets:
    """`rate` is what flows in each second, `burst` what a full bucket has; `clock` answers seconds."""

    def __init__(self, clock: Callable[[], float], *, rate: float, burst: float, kept: int = KEPT) -> None:
        self._clock = clock
        self._rate = rate
        self._span = burst / rate
        self._kept = kept
        self._full_at: dict[object, float] = {}  # in the order of their last use

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, holder: object, cost: float = 1.0) -> float:
        """Take `cost` out of the holder's bucket: 0.0, or in how many seconds it would have that much."""
        now = self._clock()
        self._tidy(now)
        full_at = max(self._full_at.get(holder, now), now) + cost / self._rate
        late = full_at - now - self._span
        if late > 1e-6:  # the sum of many costs is not exact
            return late
        self._full_at.pop(holder, None)
        self._full_at[holder] = full_at
        return 0.0

    def forget(self, holder: object) -> None:
        """Let go of it. Idempotent."""
        self._full_at.pop(holder, None)

    def _tidy(self, now: float) -> None:
        """Two steps each time, so that more goes than comes."""
        for _ in range(2):
            oldest = next(iter(self._full_at), None)
            if oldest is None or (self._full_at[oldest] > now and len(self._full_at) < self._kept):
                return
            del self._full_at[oldest]
