"""Batching of database work: concurrent items share one transaction, a lone item runs at once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

_Ask = TypeVar("_Ask")
_Answer = TypeVar("_Answer")

MAX_BATCH = 200


class Batch(Generic[_Ask, _Answer]):
    """Collects items while `work` is busy and passes them on as one batch; `run` owns the worker task.

    `work` returns one result per item, in order: its answer, or an exception for that item alone. An exception that
    `work` raises fails the whole batch. An item is handled by work that starts after it was added, never by work in
    progress.
    """

    def __init__(self, work: Callable[[Sequence[_Ask]], Awaitable[Sequence[_Answer | Exception]]]) -> None:
        self._work = work
        self._asked: list[tuple[_Ask, asyncio.Future[_Answer]]] = []
        self._wake = asyncio.Event()

    async def ask(self, what: _Ask) -> _Answer:
        """Add an item and return its answer. Raises what the work raises."""
        future: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._asked.append((what, future))
        self._wake.set()
        return await future

    async def run(self) -> None:
        """Process batches until cancelled, then cancel all pending items."""
        try:
            while True:
                await self._wake.wait()
                while self._asked:
                    batch, self._asked = self._asked[:MAX_BATCH], self._asked[MAX_BATCH:]
                    await self._do(batch)
                self._wake.clear()
        finally:
            for _, future in self._asked:
                future.cancel()

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


def _settle(future: asyncio.Future[_Answer], answer: _Answer | Exception) -> None:
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
