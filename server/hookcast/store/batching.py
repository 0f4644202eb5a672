"""Batching of database work: concurrent items share one transaction, a lone item runs at once."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

_Ask = TypeVar("_Ask")
_Answer = TypeVar("_Answer")

MAX_BATCH = 200
MAX_BYTES = 16 * 1024 * 1024  # of a batch of several items: a database writes them in a fraction of its deadline
GATHER_SECONDS = 0.005


class Limit(NamedTuple):
    """How long an item may take, in seconds at the time it is added, and the error of one that takes longer."""

    seconds: Callable[[], float]
    late: Callable[[], Exception]


class Batch(Generic[_Ask, _Answer]):
    """Collects items while `work` is busy and passes them on as one batch; `run` owns the worker task.

    Without a `limit` an item takes as long as its work. `size` returns the bytes of an item, if they matter.

    `work` returns one result per item, in order: its answer, or an exception for that item alone. An exception that
    `work` raises fails the whole batch. An item is handled by work that starts after it was added, never by work in
    progress.
    """

    def __init__(
        self,
        work: Callable[[Sequence[_Ask]], Awaitable[Sequence[_Answer | Exception]]],
        limit: Limit | None = None,
        size: Callable[[_Ask], int] | None = None,
    ) -> None:
        self._work = work
        self._limit = limit
        self._size = size
        self._asked: list[tuple[_Ask, asyncio.Future[_Answer]]] = []
        self._waiting: deque[tuple[float, asyncio.Future[_Answer]]] = deque()  # by deadline
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()

    def ask(self, what: _Ask) -> "asyncio.Future[_Answer]":
        """Add an item and return its answer to be. The future raises what the work raises."""
        if self._loop is None:  # looked up once: it asks the kernel for the process each time
            self._loop = asyncio.get_running_loop()
        loop = self._loop
        future: asyncio.Future[_Answer] = loop.create_future()
        self._asked.append((what, future))
        self._wake.set()
        if self._limit is not None:
            self._waiting.append((loop.time() + self._limit.seconds(), future))
            if self._timer is None:
                self._timer = loop.call_at(self._waiting[0][0], self._expire, self._limit.late)
        return future

    async def run(self) -> None:
        """Process batches until cancelled, then cancel all pending items."""
        try:
            while True:
                await self._wake.wait()
                while self._asked:
                    await self._gather()
                    count = self._portion()
                    batch, self._asked = self._asked[:count], self._asked[count:]
                    await self._do(batch)
                self._wake.clear()
        finally:
            if self._timer is not None:
                self._timer.cancel()
            for _, future in self._asked:
                future.cancel()

    async def _gather(self) -> None:
        """Wait while each turn of the event loop adds items: a transaction costs as much as dozens of them."""
        loop = asyncio.get_running_loop()
        until, before = loop.time() + GATHER_SECONDS, 0
        while before < len(self._asked) < MAX_BATCH and loop.time() < until:
            before = len(self._asked)
            await asyncio.sleep(0)

    def _portion(self) -> int:
        """Return how many items make the next batch: `MAX_BATCH`, or those of `MAX_BYTES`, at least one."""
        size = 0
        if self._size is not None:
            for count, (ask, _) in enumerate(self._asked[:MAX_BATCH]):
                size += self._size(ask)
                if size > MAX_BYTES:
                    return max(count, 1)
        return MAX_BATCH

    def _expire(self, late: Callable[[], Exception]) -> None:
        """Fail the items whose time is up: one timer for all of them."""
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._waiting and (self._waiting[0][0] <= loop.time() or self._waiting[0][1].done()):
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_exception(late())
        if self._waiting:
            self._timer = loop.call_at(self._waiting[0][0], self._expire, late)

    async def _do(self, batch: list[tuple[_Ask, asyncio.Future[_Answer]]]) -> None:
        batch = [(ask, future) for ask, future in batch if not future.done()]  # its caller may have been cancelled
        if not batch:
            return
        answers: Sequence[_Answer | Exception] = ()
        try:
            answers = await self._work([ask for ask, _ in batch])
        except Exception as error:  # noqa: BLE001 - raised to the callers of the batch
            answers = [error] * len(batch)
        finally:
            for (_, future), answer in zip(batch, answers, strict=False):
                _settle(future, answer)
            for _, future in batch[len(answers) :]:  # cancelled
                future.cancel()
            while self._waiting and self._waiting[0][1].done():
                self._waiting.popleft()


def _settle(future: asyncio.Future[_Answer], answer: _Answer | Exception) -> None:
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
