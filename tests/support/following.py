"""Doubles of what the follower needs: leases that are always ours, and a push engine in which nothing happens."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from hookcast.push import Hub


class OpenKeeper:
    """Every lease is ours at once."""

    @asynccontextmanager
    async def held(self, _name: str) -> AsyncIterator[None]:
        """A lease."""
        yield


class SilentWatch:
    """A watch to which nothing ever comes."""

    async def next(self, _seconds: float) -> None:
        """Wait for ever."""
        await asyncio.get_running_loop().create_future()


class SilentEngine:
    """The little that the follower wants of the push engine."""

    draining = False

    def __init__(self) -> None:
        self.hub = Hub(time.monotonic)
        self.admission = self.subscriptions = self

    @contextmanager
    def overhear(self, _request_id: str) -> Iterator[SilentWatch]:
        """A watch that does not count as somebody who watches."""
        yield SilentWatch()
