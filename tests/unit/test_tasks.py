"""Owned tasks, and looks that are repeated."""

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from hookcast.errors import StoreUnavailable
from hookcast.tasks import Tasks, beside, repeat

pytestmark = pytest.mark.anyio


async def _fail() -> None:
    raise LookupError("a bug")


async def test_a_block_ends_with_a_task_that_it_needs() -> None:
    with pytest.raises(ExceptionGroup) as raised:
        async with beside(_fail()):
            await asyncio.get_running_loop().create_future()
    assert raised.group_contains(LookupError)


async def test_an_error_of_the_block_is_raised_as_it_is() -> None:
    with pytest.raises(LookupError, match="a bug"):
        async with beside(asyncio.sleep(3600)):
            await _fail()


async def test_the_tasks_beside_a_block_end_with_it() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.set()

    async with beside(work()):
        await asyncio.sleep(0)
    assert ended.is_set()


async def test_a_task_that_fails_is_logged_and_the_others_continue() -> None:
    tasks, go, done = Tasks(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await go.wait()
        done.set()

    with capture_logs() as lines:
        async with tasks.owned():
            tasks.start("job-1", work)
            failing = tasks.start("job-2", _fail)
            assert failing is not None
            await failing
            go.set()
    assert done.is_set()
    assert [(line["event"], line["task"], line["subject"]) for line in lines] == [("task_crashed", "_fail", "job-2")]


async def test_a_task_is_not_started_without_an_owner() -> None:
    tasks = Tasks()
    assert tasks.start("before", _fail) is None
    async with tasks.owned():
        assert tasks.running
    assert tasks.start("after", _fail) is None


class _Sleeps:
    """A `sleep` that notes its pauses, and cancels after `count` of them."""

    def __init__(self, count: int) -> None:
        self.pauses: list[float] = []
        self._count = count

    async def __call__(self, seconds: float) -> None:
        if len(self.pauses) == self._count:
            raise asyncio.CancelledError
        self.pauses.append(seconds)


async def _pauses(look: Callable[[], object], count: int, longest: float | None) -> list[float]:
    sleep = _Sleeps(count)

    async def once() -> None:
        look()

    with pytest.raises(asyncio.CancelledError):
        await repeat(once, lambda: 1.0, sleep, failed="look_failed", longest=longest)
    return sleep.pauses


@pytest.mark.parametrize("error", [StoreUnavailable("down"), LookupError("a bug")])
async def test_looks_go_on_after_a_failure_with_growing_pauses_and_fewer_lines(error: Exception) -> None:
    answers = iter([error, error, error, error, None, None])

    def look() -> None:
        answer = next(answers)
        if answer is not None:
            raise answer

    with capture_logs() as lines:
        assert await _pauses(look, 6, longest=5.0) == [1.0, 2.0, 4.0, 5.0, 5.0, 1.0]
    assert [(line["event"], line["failures"]) for line in lines] == [("look_failed", count) for count in (1, 2, 4)]


async def test_pauses_stay_where_no_longest_is_given() -> None:
    def look() -> None:
        raise StoreUnavailable("down")

    with capture_logs():
        assert await _pauses(look, 4, longest=None) == [1.0] * 4
