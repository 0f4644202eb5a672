"""The worker: what it runs, how often, and that trouble with one piece, or of the database, ends nothing else."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from hookcast.consequences import Kind, Start
from hookcast.errors import StoreUnavailable
from hookcast.media.failures import StorageFailed
from hookcast.store import Piece, open_store
from hookcast.upkeep import worker as module
from hookcast.upkeep.worker import Handler, Later, Outcome, Worker
from support.server import until
from support.workers import PATIENT, Handling, World

pytestmark = pytest.mark.anyio
AGES = 3600.0


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    """A database without work."""
    async with open_store(database_url) as store:
        yield World(database_url, store)


async def test_a_piece_is_run_until_it_is_done(world: World) -> None:
    """Its facts and attempts come with it."""
    handling = Handling(Later(20.0, '{"seen":1}'), Later(40.0))
    await world.add("job-1")
    async with world.node(handling):
        await world.empty()
    assert [(piece.attempts, piece.facts) for piece in handling.pieces] == [
        (1, "{}"),
        (2, '{"seen":1}'),
        (3, '{"seen":1}'),
    ]
    assert world.passed == pytest.approx([20.0, 40.0], abs=15)


async def test_work_committed_on_this_node_begins_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long before the next look."""
    monkeypatch.setattr(module, "LOOK_SECONDS", AGES)
    handling = Handling()
    async with world.node(handling) as worker:
        await until(lambda: not worker._wake.is_set())
        await world.add("job-1")
        worker.wake()
        await world.empty()
    assert handling.names == ["job-1"]


async def test_work_that_is_begun_anew_while_it_runs_runs_once_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever becomes of the first run: it began before somebody asked."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    handling = Handling()
    handling.gate.clear()
    await world.add("job-1")
    async with world.node(handling) as worker:
        await until(lambda: handling.running == 1)
        await world.table.again([Start("fetch:job-1", Kind.FETCH, "job-1", -1.0, '{"anew":1}')])
        while await world.table.next_due([Kind.FETCH]):
            worker.wake()
            await asyncio.sleep(0.001)
        handling.gate.set()
        await world.empty()
    assert [(piece.attempts, piece.facts) for piece in handling.pieces] == [(1, "{}"), (1, '{"anew":1}')]


async def test_work_of_other_nodes_is_found_by_looking(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    async with world.node(Handling()):
        await world.add("job-1")
        await world.empty()


async def test_no_more_than_the_limit_run_at_once_and_all_run(world: World) -> None:
    """Each kind has its own limit: one that is full does not hold up another."""
    slow, quick = Handling(), Handling()
    slow.gate.clear()
    await world.add(*(f"job-{number}" for number in range(8)))
    await world.add("job-1", kind="keep")
    async with world.node({"fetch": Handler(slow, 3, PATIENT), "keep": Handler(quick, 1, PATIENT)}) as worker:
        await until(lambda: slow.running == 3 and quick.pieces)
        await worker.look()
        assert slow.running == 3
        slow.gate.set()
        await world.empty()
    assert (slow.most, len(slow.names), len(set(slow.names))) == (3, 8, 8)


async def test_work_without_a_handler_is_left_to_other_nodes(world: World) -> None:
    """A node without a key, or of an older version."""
    await world.add("job-1")
    async with world.node({}) as worker:
        await worker.look()
    assert await world.left() == 1


async def test_a_handler_that_raises_fails_alone_and_runs_again(world: World) -> None:
    """After growing pauses; the bug is logged with its piece."""
    bad, good = Handling(*[RuntimeError("bug")] * 5), Handling()

    async def run(piece: Piece) -> Outcome:
        return await (bad if piece.request_id == "bad" else good)(piece)

    await world.add("bad", "good")
    with capture_logs() as lines:
        async with world.node(run):
            await world.empty()
    failed = [line for line in lines if line["event"] == "work_failed"]
    assert [(line["request_id"], line["attempts"]) for line in failed] == [("bad", n) for n in range(1, 6)]
    assert good.names == ["good"]
    assert all(
        low <= pause <= high for pause, low, high in zip(world.passed, (0, 0, 1, 2, 4), (2, 3, 5, 9, 17), strict=True)
    )
    assert world.passed[-1] > world.passed[0]


async def test_a_handler_that_hangs_ends_at_its_deadline(world: World) -> None:
    """And runs again."""
    hanging = Handling()
    hanging.gate.clear()
    await world.add("job-1")
    with capture_logs() as lines:
        async with world.node({"fetch": Handler(hanging, 1, 0.01)}):
            await until(lambda: len(hanging.pieces) == 3)
    assert [line["event"] for line in lines][:2] == ["work_failed"] * 2
    assert hanging.cancelled == 3
    assert await world.left() == 1


async def test_an_outage_of_the_database_is_waited_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece that could not be recorded runs again when its lease has ended; the pauses between looks are bounded."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(module, "MAX_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(module, "LEASE_SECONDS", 0.05)
    handling = Handling()
    handling.gate.clear()
    await world.add("job-1")
    with capture_logs() as lines:
        async with world.node(handling):
            await until(lambda: handling.running)
            world.outage.down = True
            handling.gate.set()
            await until(lambda: sum(line["event"] == "worker_pauses" for line in lines) > 3)
            world.outage.down = False
            await world.empty()
    assert "work_not_recorded" in {line["event"] for line in lines}
    assert handling.names == ["job-1"] * 2


@pytest.mark.parametrize("error", [StoreUnavailable("away"), StorageFailed("The bucket does not answer.")])
async def test_a_piece_runs_again_when_the_database_or_the_storage_is_away(world: World, error: Exception) -> None:
    """Without a traceback: it is not a bug."""
    with capture_logs() as lines:
        await world.add("job-1")
        async with world.node(Handling(error)):
            await world.empty()
    assert [line["event"] for line in lines] == ["work_postponed"]


async def test_work_that_yields_begins_slowly_while_the_node_is_crowded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other work does not wait for it; once the node is not crowded, it goes on as usual."""
    crowded, claim, limits = True, world.table.claim, list[int]()

    async def noted(kind: str, limit: int, *rest: Any, **options: Any) -> list[Piece]:
        limits.extend([limit] if kind == "tell" else [])
        return await claim(kind, limit, *rest, **options)

    monkeypatch.setattr(world.table, "claim", noted)
    handling, urgent = Handling(), Handling()
    handling.gate.clear()
    handlers = {"tell": Handler(handling, 100, PATIENT, yields=True), "fetch": Handler(urgent, 100, PATIENT)}
    names = [f"job-{number}" for number in range(100)]
    await world.add(*names, kind="tell", after=-200.0)
    await world.add(*names, after=-200.0)
    worker = Worker(world.table, handlers, "one", lambda: crowded)
    task = asyncio.ensure_future(worker.run())
    try:
        await until(lambda: len(urgent.pieces) == 100)
        await until(lambda: handling.running >= module.CROWDED_STEP)
        assert limits[0] == module.CROWDED_STEP
        crowded = False
        worker.wake()
        await until(lambda: handling.running == 100)
        handling.gate.set()
        while await world.table.waiting("tell"):  # noqa: ASYNC110 - a database has no event
            await asyncio.sleep(0.001)
    finally:
        task.cancel()
        await asyncio.wait({task})
