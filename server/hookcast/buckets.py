"""Token buckets by holder: a burst, then a steady rate per second; pure.

The generic cell rate algorithm (ITU-T I.371): a bucket is stored as the time at which it is full again; full buckets
are not stored.
"""

from collections import OrderedDict
from collections.abc import Callable

KEPT = 100_000  # holders; beyond it the least recently used buckets count as full


class Buckets:
    """Buckets refilled at `rate` per second up to `burst`; `clock` returns seconds."""

    def __init__(self, clock: Callable[[], float], *, rate: float, burst: float, kept: int = KEPT) -> None:
        self._clock = clock
        self._rate = rate
        self._span = burst / rate
        self._kept = kept
        self._full_at: OrderedDict[object, float] = OrderedDict()  # in order of last use

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, holder: object, cost: float = 1.0) -> float:
        """Take `cost` from the holder's bucket and return 0.0, or return the seconds until it has that much."""
        now = self._clock()
        self._tidy(now)
        full_at = max(self._full_at.get(holder, now), now) + cost / self._rate
        late = full_at - now - self._span
        if late > 1e-6:  # tolerates rounding in the sum of many costs
            return late
        self._full_at.pop(holder, None)
        self._full_at[holder] = full_at
        return 0.0

    def forget(self, holder: object) -> None:
        """Forget the holder: its bucket is full again. Idempotent."""
        self._full_at.pop(holder, None)

    def _tidy(self, now: float) -> None:
        """Remove up to two expired or excess buckets per call: faster than calls can add them."""
        for _ in range(2):
            oldest = next(iter(self._full_at), None)
            if oldest is None or (self._full_at[oldest] > now and len(self._full_at) < self._kept):
                return
            del self._full_at[oldest]
