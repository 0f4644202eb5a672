"""Keeps the leases of one node: takes what is wanted in batches, prolongs it, and says when it is ours.

A node that dies, hangs or is cut off from the database stops prolonging: within `LEASE_SECONDS` another one has the
lease. If the first one comes back it finds out at its next turn.
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


class LeaseLost(Exception):
    """Another node has the lease that was held here."""


class _Claim:
    """A lease that somebody here wants, and perhaps has."""

    def __init__(self) -> None:
        self.ours = asyncio.Event()
        self.scope: asyncio.Timeout | None = None  # of the block that holds it

    def lose(self) -> None:
        """End the block."""
        if self.scope is not None:
            self.scope.reschedule(asyncio.get_running_loop().time())
            self.ours.clear()


class LeaseKeeper:
    """`node` names this node; `sleep` is passed in for tests."""

    def __init__(self, leases: Leases, node: str, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._leases = leases
        self._node = node
        self._sleep = sleep
        self._wanted: dict[str, _Claim] = {}
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
        """Wait until the lease is ours; it is kept for the length of the block.

        Raises LeaseLost, by cancelling the block, when another node has got it meanwhile.
        """
        claim = self._wanted[name] = _Claim()
        self._changed.set()
        try:
            await claim.ours.wait()
            async with asyncio.timeout(None) as claim.scope:
                yield
        except TimeoutError:
            if claim.scope is not None and claim.scope.expired():
                raise LeaseLost(name) from None
            raise
        finally:
            if self._wanted.get(name) is claim:
                del self._wanted[name]
                if claim.ours.is_set():
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
        ours = await self._leases.take(self._wanted, self._node, LEASE_SECONDS)
        for name, claim in self._wanted.items():
            if name in ours:
                claim.ours.set()
            elif claim.ours.is_set():
                claim.lose()
