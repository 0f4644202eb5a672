"""Time and trouble in the hands of a test."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn, cast

from hookcast.errors import StoreUnavailable
from hookcast.store import JobStore


class Sleeper:
    """A `sleep` that notes its pauses. They end when the test lets them, or at once when it is `free`."""

    def __init__(self, *, free: bool = False) -> None:
        self.pauses: list[float] = []
        self.free = free
        self._turns = asyncio.Semaphore(0)

    async def __call__(self, seconds: float) -> None:
        """Pause."""
        self.pauses.append(seconds)
        if self.free:
            await asyncio.sleep(0.001)
        else:
            await self._turns.acquire()

    def wake(self) -> None:
        """Let one pause end."""
        self._turns.release()


class Outage:
    """A store that can go away: every verb then raises StoreUnavailable."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self.down = False

    @property
    def store(self) -> JobStore:
        """As whoever uses it sees it."""
        return cast("JobStore", self)

    def __getattr__(self, verb: str) -> Callable[..., Awaitable[object]]:
        async def away(*_: object, **__: object) -> NoReturn:
            raise StoreUnavailable("The database is away.")

        found: Callable[..., Awaitable[object]] = away if self.down else getattr(self._store, verb)
        return found


def tasks_of_the_server() -> int:
    """How many tasks run code of ours, that of the tests not counted."""
    return sum("server/hookcast/" in repr(task) for task in asyncio.all_tasks())
