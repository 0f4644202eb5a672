"""Questions that share a transaction."""

import asyncio
from collections.abc import Sequence

import pytest

from hookcast.store.batching import MAX_BATCH, MAX_BYTES, Batch

pytestmark = pytest.mark.anyio


class Reader:
    """Answers with the number's double once it may, zero is refused; remembers what was asked together."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.free = asyncio.Event()
        self.free.set()
        self.error: Exception | None = None

    async def __call__(self, numbers: Sequence[int]) -> Sequence[int | Exception]:
        """Work."""
        self.asked.append(list(numbers))
        await self.free.wait()
        if self.error is not None:
            raise self.error
        return [2 * number if number else ValueError("zero") for number in numbers]


class Running:
    """A batch that runs for the length of the block."""

    def __init__(self) -> None:
        self.read = Reader()
        self.batch: Batch[int, int] = Batch(self.read)

    async def __aenter__(self) -> "Running":
        self.task = asyncio.ensure_future(self.batch.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def test_a_lone_question_is_asked_at_once() -> None:
    """It waits for no other."""
    async with Running() as running:
        assert await running.batch.ask(2) == 4
        assert await running.batch.ask(3) == 6
        assert running.read.asked == [[2], [3]]


async def test_questions_of_the_same_moment_share_one_query() -> None:
    """Everybody gets its own answer, or its own error."""
    async with Running() as running:
        answers = await asyncio.gather(*(running.batch.ask(key) for key in (2, 0, 4, 5)), return_exceptions=True)
        assert [answers[0], *answers[2:]] == [4, 8, 10]
        assert isinstance(answers[1], ValueError)
        assert running.read.asked == [[2, 0, 4, 5]]


async def test_a_question_is_answered_by_a_read_that_began_after_it() -> None:
    """Not by the one that is under way, though it asks for the same key."""
    async with Running() as running:
        running.read.free.clear()
        first = asyncio.ensure_future(running.batch.ask(2))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        second = asyncio.ensure_future(running.batch.ask(2))
        await asyncio.sleep(0)
        assert running.read.asked == [[2]]
        running.read.free.set()
        await asyncio.gather(first, second)
        assert running.read.asked == [[2], [2]]


async def test_many_questions_are_asked_in_bounded_queries() -> None:
    """No query is longer than the database takes."""
    async with Running() as running:
        keys = range(1, 2 * MAX_BATCH + 2)
        await asyncio.gather(*(running.batch.ask(key) for key in keys))
        assert [len(asked) for asked in running.read.asked] == [MAX_BATCH, MAX_BATCH, 1]


async def test_what_is_large_is_written_in_portions() -> None:
    """A transaction of all of it would not end before its deadline; what is larger than a portion goes alone."""
    third = MAX_BYTES // 3
    sizes = [third, third, third, 3, 2 * MAX_BYTES, third]
    written: list[list[int]] = []

    async def write(asked: Sequence[int]) -> Sequence[int]:
        written.append(list(asked))
        return asked

    batch = Batch[int, int](write, size=lambda size: size)
    task = asyncio.ensure_future(batch.run())
    await asyncio.gather(*map(batch.ask, sizes))
    task.cancel()
    assert written == [[third, third, third], [3], [2 * MAX_BYTES], [third]]


async def test_an_error_is_told_to_all_who_asked_and_to_nobody_else() -> None:
    """The next question is asked anew."""
    async with Running() as running:
        running.read.error = ValueError("no")
        answers = await asyncio.gather(running.batch.ask(2), running.batch.ask(4), return_exceptions=True)
        assert [type(answer) for answer in answers] == [ValueError, ValueError]
        running.read.error = None
        assert await running.batch.ask(2) == 4


async def test_who_gives_up_takes_nothing_from_the_others() -> None:
    """Before the read and during it."""
    async with Running() as running:
        running.read.free.clear()
        tasks = [asyncio.ensure_future(running.batch.ask(2)) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.sleep(0)
        tasks[1].cancel()
        running.read.free.set()
        assert await tasks[2] == 4
        assert [task.cancelled() for task in tasks[:2]] == [True, True]


async def test_nothing_is_asked_for_those_who_have_all_left() -> None:
    """A transaction would be for nobody."""
    async with Running() as running:
        running.read.free.clear()
        first = asyncio.ensure_future(running.batch.ask(2))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        gone = asyncio.ensure_future(running.batch.ask(3))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        running.read.free.set()
        assert await first == 4
        assert await running.batch.ask(4) == 8
        assert running.read.asked == [[2], [4]]


async def test_nobody_is_left_waiting_at_the_end() -> None:
    """Neither those who are being answered nor those who are next."""
    async with Running() as running:
        running.read.free.clear()
        tasks = [asyncio.ensure_future(running.batch.ask(2))]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        tasks.append(asyncio.ensure_future(running.batch.ask(4)))
        await asyncio.sleep(0)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert all(task.cancelled() for task in tasks)
