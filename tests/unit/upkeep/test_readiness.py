"""Readiness is told in time and at little cost, whoever asks how often."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from hookcast.upkeep.readiness import KEPT_SECONDS, Probe

pytestmark = pytest.mark.anyio


class Dependency:
    """Something to look at: it answers, or hangs while `hung` is not set."""

    def __init__(self) -> None:
        self.fine = True
        self.looks = 0
        self.free = asyncio.Event()
        self.free.set()
        self.now = 0.0

    async def look(self) -> bool:
        """Count the look, and answer."""
        self.looks += 1
        await self.free.wait()
        return self.fine


@asynccontextmanager
async def probing(dependency: Dependency, patience: float = 60.0) -> AsyncIterator[Probe]:
    """Run a probe of the dependency."""
    probe = Probe(dependency.look, clock=lambda: dependency.now, patience=patience)
    running = asyncio.ensure_future(probe.run())
    try:
        yield probe
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_many_who_ask_at_once_share_one_look() -> None:
    """And those who ask within a second of it share its answer."""
    dependency = Dependency()
    async with probing(dependency) as probe:
        assert await asyncio.gather(*(probe.ok() for _ in range(100))) == [True] * 100
        dependency.now = KEPT_SECONDS * 0.9
        assert await probe.ok()
    assert dependency.looks == 1


async def test_a_change_is_seen_after_a_second() -> None:
    dependency = Dependency()
    async with probing(dependency) as probe:
        for fine in (True, False, True):
            dependency.fine = fine
            dependency.now += KEPT_SECONDS
            assert await probe.ok() is fine
    assert dependency.looks == 3


async def test_a_dependency_that_hangs_is_away_and_is_looked_at_once() -> None:
    """Nobody waits longer than the patience, and the answer counts once it comes."""
    dependency = Dependency()
    dependency.free.clear()
    async with probing(dependency, patience=0.01) as probe:
        assert await asyncio.gather(*(probe.ok() for _ in range(10))) == [False] * 10
        assert not await probe.ok()
        assert dependency.looks == 1
        dependency.free.set()
        while not await probe.ok():
            pass
    assert dependency.looks == 1
