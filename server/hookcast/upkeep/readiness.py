"""Readiness checks of the dependencies, cheap at any request rate."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from hookcast.errors import StoreUnavailable
from hookcast.fal.keys import FalKeys
from hookcast.store import JobStore

ANSWER_SECONDS = 2.0  # limit for a dependency; the Kubernetes probes in deploy/ wait 5 s
KEPT_SECONDS = 1.0  # validity of an answer


class Probe:
    """Checks one dependency on request: one check at a time, at most one per `KEPT_SECONDS`.

    `look` is the check: it has its own deadline, and returns whether the dependency answered. `clock` returns monotonic
    seconds.
    """

    def __init__(
        self, look: Callable[[], Awaitable[bool]], *, clock: Callable[[], float] = time.monotonic, patience: float
    ) -> None:
        self._look = look
        self._clock = clock
        self._patience = patience
        self._asked = asyncio.Event()
        self._answer: asyncio.Future[bool] | None = None
        self._good_until = float("-inf")

    async def ok(self) -> bool:
        """Return whether the dependency answers; False when it takes longer than `patience`, in seconds."""
        answer = self._answer
        if answer is None or (answer.done() and self._clock() >= self._good_until):
            answer = self._answer = asyncio.get_running_loop().create_future()
            self._asked.set()
        done, _ = await asyncio.wait({answer}, timeout=self._patience)
        return bool(done) and answer.result()

    async def run(self) -> None:
        """Run the check whenever requested, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            found = await self._look()
            self._good_until = self._clock() + KEPT_SECONDS
            if self._answer is not None:
                self._answer.set_result(found)


class Readiness:
    """The state of the database, which must take writes, and of fal's keys.

    Without keys no webhook is accepted, and fal retries it. `trouble` is the error of the last write, None = it worked.
    """

    def __init__(self, store: JobStore, keys: FalKeys) -> None:
        self._store = store
        self.trouble: StoreUnavailable | None = None
        self._probes = {
            "database": Probe(self._database, patience=ANSWER_SECONDS),
            "falKeys": Probe(keys.available, patience=ANSWER_SECONDS),
        }

    async def _database(self) -> bool:
        self.trouble = None
        try:
            await self._store.probe()
        except StoreUnavailable as error:
            self.trouble = error
        return self.trouble is None

    async def checks(self) -> dict[str, str]:
        """Return `ok` or `unavailable` for each dependency, within `ANSWER_SECONDS`."""
        found = await asyncio.gather(*(probe.ok() for probe in self._probes.values()))
        return {name: "ok" if ok else "unavailable" for name, ok in zip(self._probes, found, strict=True)}

    async def run(self) -> None:
        """Run the probes until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for probe in self._probes.values():
                tasks.create_task(probe.run())
