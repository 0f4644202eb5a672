"""Keeps the leases of one node: takes what is wanted in batches, prolongs it, and says when it is ours.

A node that dies stops prolonging: within `LEASE_SECONDS` another one has the lease.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from hookcast.errors import StoreUnavailable
from hookcast.logs import get_logger
from hookcast.store.leases import Leases

LEASE_SECONDS = 6.0
TURN_SECONDS = 2.0

_log = get_logger(__name__)


class LeaseKeeper:
    """`node` names this node; `sleep` is passed in for tests."""

    def __init__(self, leases: Leases, node: str, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._leases = leases
        self._node = node
        self._sleep = sleep
        self._wanted: dict[str, asyncio.Event] = {}
        self._given_up: set[str] = set()
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Take, prolong and give back, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tick())
            while True:
                await self._changed.wait()
                self._changed.clear()
                try:
                    await self._turn()
                except StoreUnavailable as error:
                    # What we hold may be taken by another node soon; to do a thing twice for a while harms nobody.
                    _log.warning("leases_not_kept", reason=str(error))

    @asynccontextmanager
    async def held(self, name: str) -> AsyncIterator[None]:
        """Wait until the lease is ours; it is kept for the length of the block."""
        mine = self._wanted[name] = asyncio.Event()
        self._changed.set()
        try:
            await mine.wait()
            yield
        finally:
            if self._wanted.get(name) is mine:
                del self._wanted[name]
                if mine.is_set():
                    self._given_up.add(name)
                    self._changed.set()

    async def _tick(self) -> None:
        while True:
            await self._sleep(TURN_SECONDS)
            if self._wanted:
                self._changed.set()

    async def _turn(self) -> None:
        given_up, self._given_up = self._given_up - self._wanted.keys(), set()
        if given_up:
            await self._leases.release(given_up, self._node)
        for name in await self._leases.take(self._wanted, self._node, LEASE_SECONDS):
            if name in self._wanted:
                self._wanted[name].set()
