"""The wheel: looks at streams when they asked for it, in small portions."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookcast.push.wheel import PORTION, Looked, Wheel
from support.push import Time, open_events, running_engine, state

pytestmark = pytest.mark.anyio


class Item:
    """Asks to be looked at again after `every` seconds."""

    def __init__(self, time: Time, every: float | None = None) -> None:
        self.bucket: dict[Looked, None] | None = None
        self.looks: list[float] = []
        self._time, self._every = time, every

    def look(self, now: float) -> float | None:
        """Remember."""
        self.looks.append(now)
        return None if self._every is None else now + self._every


@given(whens=st.lists(st.floats(0, 50), min_size=1), steps=st.lists(st.floats(0.01, 20), min_size=1))
def test_nobody_is_looked_at_too_early_or_more_than_a_step_too_late(whens: list[float], steps: list[float]) -> None:
    """However the clock moves on, and wherever items are put meanwhile."""
    time = Time()
    wheel = Wheel(time, 0.15)
    items = {Item(time): time.now + when for when in whens}
    for item, when in items.items():
        wheel.put(item, when)
    for step in [*steps, 100.0]:
        before, time.now = time.now, time.now + step
        asyncio.run(wheel.turn())
        for item, when in items.items():
            assert (not item.looks) if time.now < when else True
            assert len(item.looks) == 1 if before >= when + 0.15 or time.now >= when + 0.15 else True
    assert len(wheel) == 0


async def test_an_item_that_is_put_again_is_looked_at_once() -> None:
    """At the newer time, whether that is earlier or later."""
    time = Time()
    wheel, item = Wheel(time, 1.0), Item(time)
    for when in (5.0, 20.0, 10.0):
        wheel.put(item, time.now + when)
    for _ in range(30):
        time.now += 1.0
        await wheel.turn()
    assert item.looks == [1011.0]


async def test_what_is_dropped_moved_or_added_during_a_visit_is_safe() -> None:
    """Items meddle with others of their own bucket; all that stays is looked at once."""
    time = Time()
    wheel = Wheel(time, 1.0)
    items = [Item(time) for _ in range(3 * PORTION)]

    class Meddler(Item):
        def look(self, now: float) -> float | None:
            super().look(now)
            for number, item in enumerate(items):
                if not item.looks and number % 3 == 0:
                    wheel.drop(item)
                elif not item.looks and number % 3 == 1:
                    wheel.put(item, now + 5)
            wheel.put(late, now)
            return None

    late, meddler = Item(time), Meddler(time)
    for item in (meddler, *items):
        wheel.put(item, time.now + 1)
    for _ in range(20):
        time.now += 1.0
        await wheel.turn()
    assert len(meddler.looks) == len(late.looks) == 1
    assert max(len(item.looks) for item in items) == 1
    assert all(item.looks for item in items[2::3])
    assert len(wheel) == 0


async def test_a_big_bucket_is_visited_in_portions() -> None:
    """Others get their turn in between."""
    time = Time()
    wheel = Wheel(time, 1.0)
    items = [Item(time) for _ in range(5 * PORTION)]
    for item in items:
        wheel.put(item, time.now)
    time.now += 2
    turning = asyncio.ensure_future(wheel.turn())
    seen = []
    while not turning.done():
        await asyncio.sleep(0)
        seen.append(sum(map(len, (item.looks for item in items))))
    portions = [after - before for before, after in zip([0, *seen], seen, strict=False)]
    assert max(portions) <= PORTION
    assert seen[-1] == len(items)


async def test_a_clock_that_jumps_leaves_nobody_behind() -> None:
    """After hours of sleep everything is due, once."""
    time = Time()
    wheel = Wheel(time, 0.15)
    items = [Item(time, every=10.0) for _ in range(50)]
    for number, item in enumerate(items):
        wheel.put(item, time.now + number)
    time.now += 86_400
    await wheel.turn()
    assert [len(item.looks) for item in items] == [1] * 50
    assert len(wheel) == 50


async def test_a_fault_with_one_item_does_not_stop_the_others() -> None:
    """It is logged, and not looked at again."""
    time = Time()
    wheel = Wheel(time, 1.0)

    class Broken(Item):
        def look(self, now: float) -> float | None:
            raise RuntimeError(now)

    well = Item(time)
    wheel.put(Broken(time), time.now)
    wheel.put(well, time.now)
    time.now += 2
    await wheel.turn()
    assert well.looks
    assert len(wheel) == 0


async def test_silence_is_broken_in_time_by_pings_that_are_spread() -> None:
    """Never more than a heartbeat without a byte, never all streams at the same moment, and two pings are apart."""
    time = Time()
    async with running_engine(time=time, heartbeat=15.0) as (engine, _):
        streams = {}
        for _ in range(400):
            _, transport = await open_events(engine, "job-1")
            transport.take()
            streams[transport] = [time.now]
        burst = 0
        for _ in range(600):
            time.now += 0.15
            await engine.wheel.turn()
            pinged = [transport for transport in streams if transport.take()]
            burst = max(burst, len(pinged))
            for transport in pinged:
                streams[transport].append(time.now)
    gaps = [after - before for times in streams.values() for before, after in pairwise(times)]
    assert max(gaps) <= 15.0
    assert min(gaps) >= 7.5
    assert burst < len(streams) / 5


async def test_a_stream_that_had_data_is_sent_no_ping() -> None:
    """Data each five seconds is no silence."""
    time = Time()
    async with running_engine(time=time, heartbeat=15.0) as (engine, _):
        stream, transport = await open_events(engine, "job-1")
        for turn in range(400):
            time.now += 0.15
            if turn % 33 == 0:
                stream.push(state(), time.now, ended=False)
            await engine.wheel.turn()
        assert b": ping" not in transport.sent
