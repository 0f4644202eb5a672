"""Questions that are asked together share one query; a question that is asked alone waits for nobody."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")

MAX_BATCH = 200


class Batch(Generic[_K, _V]):
    """Looks keys up through `read`, which answers many at once; `run` owns the task that does it.

    A question is answered by a read that began after it was asked: never by an older one.
    """

    def __init__(self, read: Callable[[list[_K]], Awaitable[Mapping[_K, _V]]]) -> None:
        self._read = read
        self._asked: dict[_K, list[asyncio.Future[_V | None]]] = {}
        self._wake = asyncio.Event()

    async def get(self, key: _K) -> _V | None:
        """The value, or None. Raises what the read raises."""
        future: asyncio.Future[_V | None] = asyncio.get_running_loop().create_future()
        self._asked.setdefault(key, []).append(future)
        self._wake.set()
        return await future

    async def run(self) -> None:
        """Answer questions until cancelled; then nobody is left waiting."""
        try:
            while True:
                await self._wake.wait()
                while self._asked:
                    keys = list(self._asked)[:MAX_BATCH]
                    await self._answer({key: self._asked.pop(key) for key in keys})
                self._wake.clear()
        finally:
            _settle(self._asked, lambda _key, future: future.cancel())

    async def _answer(self, asked: dict[_K, list[asyncio.Future[_V | None]]]) -> None:
        try:
            found = await self._read(list(asked))
            _settle(asked, lambda key, future: future.set_result(found.get(key)))
        except Exception as error:  # noqa: BLE001 - it belongs to those who asked
            failure = error
            _settle(asked, lambda _key, future: future.set_exception(failure))
        finally:
            _settle(asked, lambda _key, future: future.cancel())


def _settle(asked: Mapping[_K, list[asyncio.Future[_V]]], how: Callable[[_K, asyncio.Future[_V]], object]) -> None:
    for key, futures in asked.items():
        for future in futures:
            if not future.done():  # who asked may have left
                how(key, future)
