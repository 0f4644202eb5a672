"""The hub of one node: one set of watches a job, subscribed at the bus once for all of them.

A watch holds no queue: a newer state replaces one that was not taken yet, so memory is bounded whatever the rate.
Order of every subscription: listen on the bus → read the store → go live; `Hub.watch` is the first step, and the caller
offers what it read to the watch as if it had come over the bus.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from hookcast.bus import Bus
from hookcast.wire import State


class Drained(Exception):
    """The node is about to stop: tell the client to come back, and end."""


class Audience(Protocol):
    """Whoever wants to know when a job gets its first watcher, and when it has lost the last one.

    Called on the event loop; must neither block nor raise.
    """

    def watched(self, request_id: str) -> None:
        """Somebody watches the job now."""

    def unwatched(self, request_id: str) -> None:
        """Nobody watches it any more."""


class Watch:
    """One watcher of one job. Only ever holds the newest state, and never answers an old one."""

    def __init__(self, request_id: str, *, passive: bool) -> None:
        self.request_id = request_id
        self.passive = passive
        self._newest: State | None = None
        self._taken = 0
        self._drained = False
        self._wake = asyncio.Event()

    def offer(self, state: State) -> None:
        """Put a state in the slot unless it is not newer than what the watcher has."""
        if state.version > max(self._taken, self._newest.version if self._newest else 0):
            self._newest = state
            self._wake.set()

    def skip(self, version: int) -> None:
        """The watcher knows this version already."""
        self._taken = max(self._taken, version)

    def drain(self) -> None:
        """Wake the watcher with Drained once it has taken what is there."""
        self._drained = True
        self._wake.set()

    async def next(self, seconds: float) -> State | None:
        """The newest state that was not taken yet, or None after `seconds` of silence. Raises Drained."""
        if self._newest is None and not self._drained:
            self._wake.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
            except TimeoutError:
                return None
        state, self._newest = self._newest, None
        if state is None:
            raise Drained
        self._taken = state.version
        return state


class Hub:
    """Routes states to watches. `audience` is told about every watch that is not passive."""

    def __init__(self) -> None:
        self.audience: Audience | None = None
        self.draining = False
        self._watches: dict[str, set[Watch]] = {}

    def deliver(self, state: State) -> None:
        """The bus's way in."""
        for watch in self._watches.get(state.request_id, ()):
            watch.offer(state)

    @asynccontextmanager
    async def watch(self, bus: Bus, request_id: str, *, passive: bool = False) -> AsyncIterator[Watch]:
        """Listen to one job for the length of the block. A passive watch does not count as audience."""
        watch = Watch(request_id, passive=passive)
        if self.draining:
            watch.drain()
        try:
            await self._join(bus, watch)
            yield watch
        finally:
            await self._leave(bus, watch)

    def drain(self) -> None:
        """Let every watch end; new ones end at once."""
        self.draining = True
        for watches in self._watches.values():
            for watch in watches:
                watch.drain()

    def watched_jobs(self) -> int:
        """How many jobs have a watch."""
        return len(self._watches)

    async def _join(self, bus: Bus, watch: Watch) -> None:
        request_id = watch.request_id
        first = not self._has_audience(request_id)
        watches = self._watches.setdefault(request_id, set())
        watches.add(watch)
        if len(watches) == 1:
            await bus.subscribe(request_id)
        if first and not watch.passive and self.audience is not None:
            self.audience.watched(request_id)

    async def _leave(self, bus: Bus, watch: Watch) -> None:
        request_id = watch.request_id
        watches = self._watches[request_id]
        watches.discard(watch)
        if not watch.passive and not self._has_audience(request_id) and self.audience is not None:
            self.audience.unwatched(request_id)
        if not watches:
            del self._watches[request_id]
            await bus.unsubscribe(request_id)

    def _has_audience(self, request_id: str) -> bool:
        return any(not watch.passive for watch in self._watches.get(request_id, ()))
