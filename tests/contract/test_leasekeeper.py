"""Who follows a job: one node, and within seconds another one when that node has died."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from hookcast.store import JobStore, open_store
from hookcast.upkeep.leases import LeaseKeeper, LeaseLost
from support.fakes import Sleeper
from support.server import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(any_database_url: str) -> AsyncIterator[JobStore]:
    """An empty store."""
    async with open_store(any_database_url) as opened:
        yield opened


class Keeper:
    """A keeper whose turns come when the test says so."""

    def __init__(self, store: JobStore, node: str) -> None:
        self.turns = Sleeper()
        self.keeper = LeaseKeeper(store.leases, node, sleep=self.turns)
        self.holds: list[str] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """At work; the end is that of a node that dies: nothing is given back."""
        task = asyncio.ensure_future(self.keeper.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def hold(self, name: str) -> None:
        """Hold a lease until cancelled."""
        async with self.keeper.held(name):
            self.holds.append(name)
            await asyncio.get_running_loop().create_future()


async def test_one_of_two_nodes_holds_and_the_other_gets_it_when_it_is_given_back(store: JobStore) -> None:
    one, two = Keeper(store, "one"), Keeper(store, "two")
    async with one.running(), two.running():
        first = asyncio.ensure_future(one.hold("follow:job-1"))
        await until(lambda: one.holds)
        second = asyncio.ensure_future(two.hold("follow:job-1"))
        await until(lambda: two.turns.pauses)
        assert two.holds == []
        first.cancel()
        while await store.leases.take(["probe", "follow:job-1"], "three", -1.0) != {"probe", "follow:job-1"}:
            pass
        two.turns.wake()
        await until(lambda: two.holds)
        second.cancel()
        await asyncio.wait({first, second})


async def test_a_lease_is_prolonged_at_each_turn(store: JobStore) -> None:
    """As long as it is wanted."""
    one = Keeper(store, "one")
    async with one.running():
        task = asyncio.ensure_future(one.hold("a"))
        await until(lambda: one.holds)
        for _ in range(3):
            one.turns.wake()
            await until(lambda: len(one.turns.pauses) >= 2)
            assert await store.leases.take(["a"], "two", 1.0) == set()
        task.cancel()
        await asyncio.wait({task})


async def test_who_has_lost_a_lease_stops_and_may_wait_for_it_again(store: JobStore) -> None:
    """A node that hung for too long finds at its next turn that another one does its work."""
    one = Keeper(store, "one")
    async with one.running():
        task = asyncio.ensure_future(one.hold("a"))
        await until(lambda: one.holds)
        await store.leases.release(["a"], "one")
        assert await store.leases.take(["a"], "two", 60.0) == {"a"}
        one.turns.wake()
        with pytest.raises(LeaseLost):
            await task
        again = asyncio.ensure_future(one.hold("a"))
        await store.leases.release(["a"], "two")
        one.turns.wake()
        await until(lambda: one.holds == ["a", "a"])
        again.cancel()
        await asyncio.wait({again})
