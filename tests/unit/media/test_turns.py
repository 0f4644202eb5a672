"""Turns of copies."""

import asyncio
import threading

import pytest

from hookcast.media.failures import Stopped
from hookcast.media.precedence import LOOK_SECONDS, Precedence
from hookcast.media.stopping import Stop
from hookcast.media.turns import Turns

pytestmark = pytest.mark.anyio


async def test_no_more_than_the_limit_run() -> None:
    turns = Turns(2)
    running = 0
    lock = threading.Lock()
    gate = threading.Event()

    def work(_: Stop) -> int:
        nonlocal running
        with lock:
            running += 1
            now = running
        gate.wait(60)
        with lock:
            running -= 1
        return now

    tasks = [asyncio.create_task(turns.run(name, work)) for name in "aabbccdd"]
    await asyncio.sleep(0)
    assert (turns.running, turns.waiting) == (2, 6)
    gate.set()
    assert max(await asyncio.gather(*tasks)) <= 2
    assert (turns.running, turns.waiting) == (0, 0)
    turns.close()


async def test_jobs_take_turns() -> None:
    turns = Turns(1)
    order: list[str] = []
    gate = threading.Event()

    def work(name: str) -> None:
        gate.wait(60)
        order.append(name)

    names = ["big"] * 4 + ["small"] * 2
    tasks = [asyncio.create_task(turns.run(name, lambda _, name=name: work(name))) for name in names]  # type: ignore[misc] # a default
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*tasks)
    assert order == ["big", "big", "small", "big", "small", "big"]
    turns.close()


@pytest.mark.parametrize("limit", [2, 4])
async def test_no_job_has_all_turns(limit: int) -> None:
    """A host may take hours for its files."""
    turns = Turns(limit)
    gate = threading.Event()
    slow = [asyncio.create_task(turns.run("slow", lambda _: gate.wait(60))) for _ in range(2 * limit)]
    await asyncio.sleep(0)
    assert turns.running == limit - 1
    for _ in range(3):
        assert await asyncio.wait_for(turns.run("other", lambda _: 7), 20) == 7
    assert turns.running == limit - 1
    gate.set()
    assert await asyncio.gather(*slow) == [True] * (2 * limit)
    assert (turns.running, turns.waiting) == (0, 0)
    turns.close()


async def test_a_turn_that_a_job_gives_back_is_for_its_own_files_too() -> None:
    """When nobody else waits."""
    turns = Turns(2)
    gates = [threading.Event() for _ in range(2)]
    first, second = [asyncio.create_task(turns.run("a", lambda _, gate=gate: gate.wait(60))) for gate in gates]  # type: ignore[misc] # a default
    await asyncio.sleep(0)
    assert (turns.running, turns.waiting) == (1, 1)
    gates[0].set()
    assert await first
    assert (turns.running, turns.waiting) == (1, 0)
    gates[1].set()
    assert await second
    turns.close()


async def test_work_gives_way_to_what_goes_before_it() -> None:
    """Between its blocks."""
    turns = Turns(1)
    waits: list[float] = []
    turns.precedence = Precedence(lambda: float(len(waits)), waits.append)
    await turns.run("job", Stop.pause)
    assert waits == []
    with turns.precedence:
        await turns.run("job", Stop.pause)
    assert waits == [LOOK_SECONDS]
    turns.close()


async def test_work_raises_to_its_caller_and_frees_its_turn() -> None:
    turns = Turns(1)
    with pytest.raises(ZeroDivisionError):
        await turns.run("a", lambda _: 1 // 0)
    assert await turns.run("a", lambda _: 7) == 7
    turns.close()


async def test_a_cancelled_caller_stops_its_work_and_waits_for_its_end() -> None:
    turns = Turns(1)
    began, ended = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def work(stop: Stop) -> None:
        loop.call_soon_threadsafe(began.set)
        try:
            while True:
                stop.check()
                threading.Event().wait(0.001)
        except Stopped:
            ended.set()
            raise

    task = asyncio.create_task(turns.run("a", work))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
    assert await turns.run("b", lambda _: 7) == 7
    turns.close()


async def test_a_cancelled_wait_costs_no_turn() -> None:
    turns = Turns(1)
    gate = threading.Event()
    first = asyncio.create_task(turns.run("a", lambda _: gate.wait(60)))
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(turns.run(name, lambda _: False)) for name in ("a", "b", "b")]
    await asyncio.sleep(0)
    waiting[1].cancel()
    await asyncio.gather(waiting[1], return_exceptions=True)
    assert turns.waiting == 2
    waiting[0].cancel()  # and a turn that comes in the same moment passes on
    gate.set()
    assert await first
    assert await waiting[2] is False
    assert await turns.run("c", lambda _: 7) == 7
    turns.close()


async def test_a_turn_that_comes_to_a_cancelled_caller_passes_on() -> None:
    turns = Turns(1)
    gate = threading.Event()
    first = asyncio.create_task(turns.run("a", lambda _: gate.wait(60)))
    await asyncio.sleep(0)
    second = asyncio.create_task(turns.run("b", lambda _: False))
    await asyncio.sleep(0)
    first.add_done_callback(lambda _: second.cancel())  # after the turn was given, before the second task runs
    gate.set()
    assert await first
    await asyncio.gather(second, return_exceptions=True)
    assert await asyncio.wait_for(turns.run("c", lambda _: 7), 60) == 7
    turns.close()
