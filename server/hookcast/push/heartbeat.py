"""One timer for all streams: a wheel of buckets, each visited when it is due and in small portions.

A stream asks to be looked at again at some time; what is due then (a ping, the end of its lifetime, a reader that is
too slow) it decides itself. A push costs the wheel nothing: a stream that had data in between just asks again.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

PORTION = 100  # streams looked at before other work gets its turn


class Looked(Protocol):
    """What sits on the wheel. `slot` belongs to the wheel."""

    slot: int

    def look(self, now: float) -> float | None:
        """Do what is due, and answer when to look again (None = never). May neither block nor raise."""


class Wheel:
    """`step` is how exact it is, in seconds; `clock` is the event loop's."""

    def __init__(self, clock: Callable[[], float], step: float) -> None:
        self._clock = clock
        self._step = step
        self._buckets: dict[int, set[Looked]] = {}
        self._visited = 0

    def put(self, item: Looked, when: float) -> None:
        """Look at `item` at that time, and at no earlier one; never before it, at the latest a step after it."""
        self.drop(item)
        slot = max(int(when / self._step) + 1, self._visited + 1)
        item.slot = slot
        self._buckets.setdefault(slot, set()).add(item)

    def drop(self, item: Looked) -> None:
        """Forget the item. Idempotent."""
        bucket = self._buckets.get(item.slot)
        if bucket is not None:
            bucket.discard(item)
            if not bucket:
                del self._buckets[item.slot]

    async def run(self) -> None:
        """Turn until cancelled."""
        self._visited = int(self._clock() / self._step)
        while True:
            await asyncio.sleep(self._step)
            until = int(self._clock() / self._step)
            for slot in sorted(slot for slot in self._buckets if slot <= until):
                await self._visit(slot)
            self._visited = until

    async def _visit(self, slot: int) -> None:
        self._visited = slot
        while bucket := self._buckets.get(slot):
            for item in [bucket.pop() for _ in range(min(PORTION, len(bucket)))]:
                item.slot = 0
                again = item.look(self._clock())
                if again is not None:
                    self.put(item, again)
            await asyncio.sleep(0)
        self._buckets.pop(slot, None)
