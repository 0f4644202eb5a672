"""One timer for all streams: a timing wheel of buckets, each visited when due, in small portions.

A stream sets the time of its next look and then decides what is due: a ping, the end of its lifetime, a slow reader.
A push costs the wheel nothing: a stream that has sent data meanwhile just sets a new time.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from hookcast.logs import get_logger

_log = get_logger(__name__)

PORTION = 100  # streams looked at before other tasks run


class Looked(Protocol):
    """An item on the wheel. `bucket` belongs to the wheel."""

    bucket: "dict[Looked, None] | None"

    def look(self, now: float) -> float | None:
        """Do what is due and return when to look again (None = never). Must neither block nor raise."""


class Wheel:
    """A timer with a resolution of `step` seconds; `clock` is the event loop's."""

    def __init__(self, clock: Callable[[], float], step: float) -> None:
        self._clock = clock
        self._step = step
        self._buckets: dict[int, dict[Looked, None]] = {}  # ordered sets; a dict takes half the memory of a set
        self._visited = 0

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))

    def put(self, item: Looked, when: float) -> None:
        """Look at `item` within one step after `when`, never before; this replaces a time set earlier."""
        self.drop(item)
        slot = max(int(when / self._step) + 1, self._visited + 1)
        bucket = self._buckets.get(slot)
        if bucket is None:
            bucket = self._buckets[slot] = {}
        bucket[item] = None
        item.bucket = bucket

    def drop(self, item: Looked) -> None:
        """Remove the item. Idempotent."""
        if item.bucket is not None:
            item.bucket.pop(item, None)
            item.bucket = None

    async def run(self) -> None:
        """Run until cancelled."""
        self._visited = int(self._clock() / self._step)
        while True:
            await asyncio.sleep(self._step)
            await self.turn()

    async def turn(self) -> None:
        """Look at every item that is due."""
        until = int(self._clock() / self._step)
        for slot in sorted(slot for slot in self._buckets if slot <= until):
            await self._visit(slot)
        self._visited = until

    async def _visit(self, slot: int) -> None:
        self._visited = slot
        while bucket := self._buckets.get(slot):
            for _ in range(min(PORTION, len(bucket))):
                if bucket:  # a look may have moved or dropped others
                    item, _ = bucket.popitem()
                    item.bucket = None
                    self._look(item)
            await asyncio.sleep(0)
        self._buckets.pop(slot, None)

    def _look(self, item: Looked) -> None:
        try:
            again = item.look(self._clock())
        except Exception as error:  # noqa: BLE001 - a bug in one stream must not stop the timer of all
            _log.error("stream_crashed", exc_info=error)
            return
        if again is not None:
            self.put(item, again)
