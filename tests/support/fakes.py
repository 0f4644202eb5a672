"""Fakes for time and failures."""

import asyncio
from typing import NoReturn, cast

from hookcast.errors import StoreUnavailable
from hookcast.store import JobStore


class Sleeper:
    """A `sleep` that records its pauses. Each ends on `wake`, or at once when `free`."""

    def __init__(self, *, free: bool = False) -> None:
        self.pauses: list[float] = []
        self.free = free
        self._turns = asyncio.Semaphore(0)

    async def __call__(self, seconds: float) -> None:
        """Record the pause and wait."""
        self.pauses.append(seconds)
        if self.free:
            await asyncio.sleep(0.001)
        else:
            await self._turns.acquire()

    def wake(self) -> None:
        """End one pause."""
        self._turns.release()


class Outage:
    """A store that can fail: while `down`, every method raises StoreUnavailable."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self.down = False

    @property
    def store(self) -> JobStore:
        """The outage, typed as the store it wraps."""
        return cast("JobStore", self.part(self._store))

    def part(self, part: object) -> object:
        """Return a part of the store that fails with it."""
        return _Failing(self, part)


class _Failing:
    """A part of the store, whose parts can fail as well."""

    def __init__(self, outage: Outage, part: object) -> None:
        self._outage = outage
        self._part = part

    def __getattr__(self, name: str) -> object:
        found: object = getattr(self._part, name)
        if not callable(found):
            return _Failing(self._outage, found)

        async def away(*_: object, **__: object) -> NoReturn:
            raise StoreUnavailable("The database is away.")

        return away if self._outage.down else found


def tasks_of_the_server() -> int:
    """Return the number of tasks that run server code; test code is not counted."""
    return sum("server/hookcast/" in repr(task) for task in asyncio.all_tasks())
