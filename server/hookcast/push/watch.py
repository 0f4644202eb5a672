"""A watcher that waits: for long polls, and for those inside the server who follow a job."""

import asyncio
import contextlib

from hookcast.errors import HookcastError
from hookcast.wire import State


class Drained(HookcastError):
    """The node is about to stop: end now."""


class Watch:
    """Holds the newest state that was not taken yet, of one job; never answers an old one. No queue, so bounded."""

    def __init__(self, *, active: bool) -> None:
        self.active = active
        self._newest: State | None = None
        self._taken = 0
        self._drained = False
        self._wake = asyncio.Event()

    def push(self, state: State, now: float = 0.0, *, ended: bool = False) -> None:  # noqa: ARG002
        """Put a state in the slot unless it is not newer than what the watcher has."""
        if state.version > max(self._taken, self._newest.version if self._newest else 0):
            self._newest = state
            self._wake.set()

    def skip(self, version: int) -> None:
        """The watcher knows this version already."""
        self._taken = max(self._taken, version)
        if self._newest is not None and self._newest.version <= self._taken:
            self._newest = None

    def drain(self) -> None:
        """Wake the watcher with Drained once it has taken what is there."""
        self._drained = True
        self._wake.set()

    async def next(self, seconds: float) -> State | None:
        """The newest state that was not taken yet, or None after `seconds` of silence. Raises Drained."""
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
