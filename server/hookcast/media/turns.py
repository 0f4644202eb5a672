"""Turns of copies: so many at once on a node, in pools of their own, fair between jobs."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from hookcast.media.precedence import Precedence
from hookcast.media.stopping import Stop

STOP_SECONDS = 5.0

_T = TypeVar("_T")


class Turns:
    """At most `limit` copies at once. Jobs that wait take turns: one of 500 files delays no other by more than one.

    No job has all turns where there are several: the host of its files may be slow. Copies give way to whatever enters
    `precedence`.
    """

    def __init__(self, limit: int) -> None:
        self.precedence = Precedence()
        self._limit = self._free = limit
        self._most = max(limit - 1, 1)  # of one job
        self._held: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._pool = ThreadPoolExecutor(limit, thread_name_prefix="media")

    @property
    def waiting(self) -> int:
        """The number of copies that wait for their turn."""
        return sum(len(queue) for queue in self._waiting.values())

    @property
    def running(self) -> int:
        """The number of copies that run."""
        return self._limit - self._free

    async def run(self, request_id: str, work: Callable[[Stop], _T]) -> _T:
        """Run the work of a job in a thread when it is its turn.

        When the caller is cancelled, the work is stopped, and waited for: it ends at its next check. A request to a
        bucket that lasts longer than `STOP_SECONDS` is not waited for.
        """
        async with self._turn(request_id):
            stop = Stop(self.precedence)
            running = asyncio.get_running_loop().run_in_executor(self._pool, work, stop)
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                stop.set()
                running.add_done_callback(_seen)
                await asyncio.wait([running], timeout=STOP_SECONDS)
                raise

    def close(self) -> None:
        """End the threads, once no work runs."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def _turn(self, request_id: str) -> AsyncIterator[None]:
        if self._free and self._held[request_id] < self._most:
            self._take(request_id)
        else:
            await self._wait(request_id)
        try:
            yield
        finally:
            self._give_back(request_id)

    async def _wait(self, request_id: str) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(request_id, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back(request_id)  # the turn came in the same moment
            else:
                self._forget(request_id, turn)
            raise

    def _take(self, request_id: str) -> None:
        self._free -= 1
        self._held[request_id] += 1

    def _give_back(self, request_id: str) -> None:
        self._free += 1
        self._held[request_id] -= 1
        if not self._held[request_id]:
            del self._held[request_id]
        self._pass_on()

    def _pass_on(self) -> None:
        """Give free turns to the jobs that have waited longest since their last one."""
        while self._free and (request_id := self._next()) is not None:
            queue = self._waiting.pop(request_id)
            turn = queue.popleft()
            if queue:
                self._waiting[request_id] = queue
            if not turn.done():  # cancelled, and its task has not run since
                self._take(request_id)
                turn.set_result(None)

    def _next(self) -> str | None:
        return next((request_id for request_id in self._waiting if self._held[request_id] < self._most), None)

    def _forget(self, request_id: str, turn: "asyncio.Future[None]") -> None:
        queue = self._waiting.get(request_id, deque())
        if turn in queue:
            queue.remove(turn)
            if not queue:
                del self._waiting[request_id]


def _seen(done: "asyncio.Future[_T]") -> None:
    """Take note of an error that nobody waits for: mostly Stopped."""
    if not done.cancelled():
        done.exception()
