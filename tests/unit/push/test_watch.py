"""The watcher that waits."""

import asyncio

import pytest

from hookcast.push import Drained, Engine, Watch
from support.push import job, nothing_left, running_engine, settle, state

pytestmark = pytest.mark.anyio


async def test_only_the_newest_state_waits_to_be_taken() -> None:
    """An old one is never answered, also not after a newer one was taken."""
    watch = Watch(active=True)
    for version in (1, 3, 2):
        watch.push(state(version=version))
    taken = await watch.next(5)
    assert taken is not None
    assert taken.version == 3
    watch.push(state(version=3))
    assert await watch.next(0) is None


async def test_a_drain_wakes_the_watcher_once_it_has_what_is_there() -> None:
    """Also one that begins after the drain."""
    async with running_engine(job()) as (engine, _):
        async with engine.subscriptions.watch("job-1") as watch:
            engine.admission.drain()
            first = await watch.next(5)
            assert first is not None
            with pytest.raises(Drained):
                await watch.next(5)
        async with engine.subscriptions.watch("unknown") as late:
            with pytest.raises(Drained):
                await late.next(5)
        assert nothing_left(engine)


async def test_nothing_is_left_of_a_watch_that_is_cancelled() -> None:
    """While it reads the store, or while it waits."""
    async with running_engine() as (engine, store):
        store.hold = True
        reading = asyncio.ensure_future(_watch(engine))
        await settle()
        assert list(engine.hub) == ["job:job-1"]
        reading.cancel()
        await settle()
        assert nothing_left(engine)
        store.hold = False
        waiting = asyncio.ensure_future(_watch(engine))
        await settle()
        waiting.cancel()
        await settle()
        assert nothing_left(engine)


async def _watch(engine: Engine) -> None:
    async with engine.subscriptions.watch("job-1") as watch:
        await watch.next(60)


async def test_a_state_that_comes_as_the_time_runs_out_is_answered() -> None:
    """It was there before the answer was."""
    watch = Watch(active=True)
    waiting = asyncio.ensure_future(watch.next(0))
    await asyncio.sleep(0)
    watch.push(state(version=1))
    found = await waiting
    assert found is not None
    assert found.version == 1
