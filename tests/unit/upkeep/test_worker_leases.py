"""Nodes that share work: each piece is run by the one that holds its lease."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from hookcast.store import Piece, WorkTable, open_store
from hookcast.store.database import open_database
from hookcast.upkeep.worker import Done, Handler, Outcome
from support.fakes import tasks_of_the_server
from support.server import until
from support.workers import PATIENT, Handling, World

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    """A database without work."""
    async with open_store(database_url) as store:
        yield World(database_url, store)


async def test_a_lease_is_renewed_while_the_handler_runs(world: World) -> None:
    """So no other node takes the piece, however long it takes."""
    first, second = Handling(), Handling()
    first.gate.clear()
    await world.add("job-1")
    async with world.node(first, "one") as one:
        await until(lambda: first.running)
        await _end_lease(world)
        await one.renew()
        async with world.node(second, "two") as two:
            await two.look()
            first.gate.set()
            await world.empty()
    assert second.pieces == []


async def _end_lease(world: World) -> None:
    """As if this node had been silent for too long."""
    database = open_database(world.url)
    await WorkTable(database).renew(["fetch:job-1"], "one", -1.0)
    await database.close()


async def test_when_a_node_is_silent_for_too_long_another_one_goes_on(world: World) -> None:
    """The first is told, and its handler cancelled; not at once, since it may have just ended the piece itself."""
    first, second = Handling(), Handling()
    first.gate.clear()
    second.gate.clear()
    await world.add("job-1")
    async with world.node(first, "one") as one:
        await until(lambda: first.running)
        await _end_lease(world)
        async with world.node(second, "two"):
            await until(lambda: second.running)
            await one.renew()
            assert first.cancelled == 0
            await one.renew()
            await until(lambda: first.cancelled)
            second.gate.set()
            await world.empty()
    assert (len(first.pieces), len(second.pieces)) == (1, 1)


async def test_a_node_that_claims_its_own_piece_again_does_not_run_it_twice(world: World) -> None:
    """Its lease had ended while it could not reach the database."""
    handling = Handling()
    handling.gate.clear()
    await world.add("job-1")
    async with world.node(handling, "one") as worker:
        await until(lambda: handling.running)
        await _end_lease(world)
        await worker.look()
        assert handling.names == ["job-1"]
        handling.gate.set()
        await world.empty()


async def test_a_node_that_stops_gives_its_work_back(world: World) -> None:
    """Another one begins at once, long before the lease would have ended; no task is left."""
    handling = Handling()
    handling.gate.clear()
    await world.add("job-1")
    before = tasks_of_the_server()
    async with world.node(handling, "one"):
        await until(lambda: handling.running)
    assert tasks_of_the_server() == before
    handling.gate.set()
    async with world.node(handling, "two"):
        await world.empty()
    assert [piece.attempts for piece in handling.pieces] == [1, 2]


async def test_nodes_share_the_work_and_run_each_piece_once(world: World) -> None:
    """Three nodes that look as often as they can."""
    handling = Handling()
    names = [f"job-{number:02}" for number in range(60)]
    await world.add(*names)
    async with AsyncExitStack() as stack:
        for node in "abc":
            await stack.enter_async_context(world.node(handling, node))
        await world.empty()
    assert sorted(handling.names) == names


async def test_a_substitute_leaves_what_another_node_may_take(world: World) -> None:
    ran: list[str] = []

    async def run(piece: Piece) -> Outcome:
        ran.append(piece.request_id)
        return Done()

    await world.add("old", after=-60.0)
    await world.add("new", after=-1.0)
    async with world.node({"fetch": Handler(run, 10, PATIENT, overdue=30.0)}) as worker:
        await world.empty(but=1)
        await worker.look()
    assert ran == ["old"]
    assert await world.left() == 1
