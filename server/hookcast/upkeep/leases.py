"""Keeps this node's leases: takes the wanted ones in batches, renews them, and signals when they are held.

A node that dies, hangs or is cut off from the database stops renewing: its leases expire within `LEASE_SECONDS`, and
another node takes them at its next turn. If the first node comes back, it finds out at its own next turn.
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
    """Another node took a lease that this node held."""


class _Claim:
    """A lease that a task on this node wants or holds."""

    def __init__(self) -> None:
        self.ours = asyncio.Event()
        self.scope: asyncio.Timeout | None = None  # the timeout of the block that holds it

    def lose(self) -> None:
        """Cancel the block that holds the lease."""
        if self.scope is not None:
            self.scope.reschedule(asyncio.get_running_loop().time())
            self.ours.clear()


class LeaseKeeper:
    """The leases of the node named `node`; `sleep` is injected for tests."""

    def __init__(self, leases: Leases, node: str, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._leases = leases
        self._node = node
        self._sleep = sleep
        self._wanted: dict[str, _Claim] = {}
        self._given_up: set[str] = set()
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Take, renew and release leases until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tick())
            while True:
                await self._changed.wait()
                self._changed.clear()
                try:
                    await self._turn()
                except StoreUnavailable as error:
                    # Another node may take our leases soon; doing the work twice for a while is harmless.
                    _log.warning("leases_not_kept", reason=str(error))

    @asynccontextmanager
    async def held(self, name: str) -> AsyncIterator[None]:
        """Wait for the lease and hold it for the duration of the block.

        Raises LeaseLost, by cancelling the block, when another node takes the lease.
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
