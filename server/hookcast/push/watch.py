"""A subscriber to await: for long polls, and for tasks of the server that follow a job."""

import asyncio
import contextlib
from collections.abc import Iterable

from hookcast.errors import HookcastError
from hookcast.store import Outline
from hookcast.wire import State


class Drained(HookcastError):
    """The node is draining: stop waiting."""


class Watch:
    """One slot for the newest unread state of a job; it never returns an older one. No queue, so bounded."""

    kind = "long_poll"

    def __init__(self, *, active: bool) -> None:
        self.active = active
        self.ended: Outline | None = None
        """The outline of a large job that had ended before the watch began; its state is not in the slot."""
        self._newest: State | None = None
        self._taken = 0
        self._drained = False
        self._wake = asyncio.Event()

    def push(self, state: State, now: float = 0.0, *, ended: bool = False) -> None:  # noqa: ARG002
        """Put the state in the slot if it is newer than what the watcher has."""
        if state.version > max(self._taken, self._newest.version if self._newest else 0):
            self._newest = state
            self._wake.set()

    def push_many(self, states: Iterable[State], now: float, *, ended: bool) -> None:
        """Put the newest state in the slot."""
        for state in states:
            self.push(state, now, ended=ended)

    @classmethod
    def push_to_all(cls, subscribers: Iterable["Watch"], state: State, now: float, *, ended: bool) -> None:
        """Put the state in the slot of each."""
        for watch in subscribers:
            watch.push(state, now, ended=ended)

    def drain(self) -> None:
        """Make `next` raise Drained once the slot has been read."""
        self._drained = True
        self._wake.set()

    async def next(self, seconds: float) -> State | None:
        """Return the newest unread state, or None after `seconds` without one. Raises Drained."""
        if self._newest is None and not self._drained:
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
        state, self._newest = self._newest, None
        if state is not None:
            self._taken = state.version
        elif self._drained:
            raise Drained("The server is restarting.")
        return state
