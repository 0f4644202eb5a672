"""What one node wrote is found by the others, however late it becomes visible and however late they look."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial

import pytest
from sqlalchemy import Connection, Executable, select, update
from sqlalchemy.util import await_only

from hookcast.bus import LocalBus
from hookcast.dispatcher import Dispatcher
from hookcast.errors import StoreUnavailable, Trouble
from hookcast.jobs import Registered
from hookcast.push import Names
from hookcast.store import JobStore, Written, open_store
from hookcast.store.base import Database
from hookcast.store.database import open_database
from hookcast.store.schema import jobs
from hookcast.upkeep.resync import Resync
from support.postgres import running_postgres
from support.push import Watcher, make_engine
from support.server import DEADLINE

pytestmark = pytest.mark.anyio


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _other_node(store: JobStore) -> Dispatcher:
    return Dispatcher(store, LocalBus(lambda _: None), _utc_now)


def _versions(found: list[Written]) -> list[tuple[str, int]]:
    return [(row.request_id, row.version) for row in found]


@asynccontextmanager
async def hanging_commit(database: Database, statement: Executable) -> AsyncIterator[None]:
    """Run the block between a write and its commit."""
    loop, written, done = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

    def work(connection: Connection) -> None:
        connection.execute(statement)
        loop.call_soon_threadsafe(written.set)
        if database.one_writer:  # in a thread
            asyncio.run_coroutine_threadsafe(done.wait(), loop).result()
        else:
            await_only(done.wait())

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(database.write(work))
        await written.wait()
        yield
        done.set()


async def test_a_write_is_found_however_long_its_commit_hangs(any_database_url: str) -> None:
    """Others may have looked, and written, in between."""
    database = open_database(any_database_url)
    async with open_store(any_database_url) as store:
        await _other_node(store).apply("job-1", Registered())
        await _other_node(store).apply("job-2", Registered())
        _, since = await store.changed_since(0.0)
        async with hanging_commit(
            database, update(jobs).where(jobs.c.request_id == "job-1").values(version=2, changed_at=database.clock)
        ):
            for _ in range(3):
                found, since = await store.changed_since(since)
                assert ("job-1", 2) not in _versions(found)
        found, since = await store.changed_since(since)
        assert ("job-1", 2) in _versions(found)
        found, _ = await store.changed_since(since)
        assert ("job-1", 2) not in _versions(found)
    await database.close()


async def test_who_only_reads_for_long_makes_nobody_look_back(postgres_url: str) -> None:
    """A backup, for example, with the same user: each look would read all that was written since it began."""
    database = open_database(postgres_url)
    async with open_store(postgres_url) as store:
        _, begun = await store.changed_since(0.0)
        async with hanging_commit(database, select(jobs.c.request_id)):
            _, until = await store.changed_since(begun)
            _, later = await store.changed_since(until)
        assert later > until > begun
    await database.close()


async def test_a_first_look_that_comes_late_finds_what_was_written_before(any_database_url: str) -> None:
    """The database could not be reached by this node since it began, but by the other one."""
    now = 0.0
    async with open_store(any_database_url) as store:
        engine = make_engine(store)
        resync = Resync(store, engine.hub, engine.subscriptions, seconds=1.0, clock=lambda: now)
        async with engine.subscriptions.watch("job-1") as watch:
            await _other_node(store).apply("job-1", Registered())
            database = open_database(any_database_url)
            earlier = update(jobs).values(changed_at=database.clock - 30.0)
            await database.write(lambda connection: connection.execute(earlier))
            await database.close()
            await _other_node(store).apply("job-2", Registered())
            now = 60.0
            assert await resync.look() == 1
            state = await watch.next(1.0)
            assert state is not None
            assert state.version == 1


async def test_feeds_get_what_the_bus_lost(any_database_url: str) -> None:
    """An owner's and the feed of everything, once; of everything nothing that was written before it was joined."""
    async with open_store(any_database_url) as store:
        engine, other = make_engine(store), _other_node(store)
        resync = Resync(store, engine.hub, engine.subscriptions, seconds=1.0)
        await other.apply("early", Registered(owner="user-1"))
        await resync.look()
        mine, everything = Watcher(), Watcher()
        joined = await engine.subscriptions.join(mine, Names(owners=("user-1",)))
        await engine.subscriptions.join(everything, Names(everything=True))
        assert [state.request_id for state in joined.states] == ["early"]
        await other.apply("mine", Registered(owner="user-1"))
        await other.apply("theirs", Registered(owner="user-2"))
        assert [await resync.look(), await resync.look()] == [2, 0]
        assert (mine.got, everything.got) == ([("mine", 1)], [("mine", 1), ("theirs", 1)])


async def test_everything_begins_with_what_was_written_since(any_database_url: str) -> None:
    """The latest first, up to the limit."""
    async with open_store(any_database_url) as store:
        database = open_database(any_database_url)
        for number, name in enumerate(("a", "b", "c")):
            await _other_node(store).apply(name, Registered())
            later = update(jobs).where(jobs.c.request_id == name).values(changed_at=number)
            await database.write(partial(Connection.execute, statement=later))
        await database.close()
        moments = [datetime.fromtimestamp(number, UTC) for number in range(4)]
        found = [list(await store.written_since(moment, 2)) for moment in moments]
        assert found == [["c", "b"], ["c", "b"], ["c"], []]


async def test_a_node_that_only_reads_notices_a_server_that_takes_no_writes() -> None:
    """After a fail-over, a former primary would answer it from the past."""
    with running_postgres() as server:
        async with open_store(server.create("fenced")) as store:
            await store.changed_since(0.0)
            await asyncio.to_thread(server.fence)
            with pytest.raises(StoreUnavailable) as raised:
                await looking(store)
    assert raised.value.trouble is Trouble.READ_ONLY


async def looking(store: JobStore) -> None:
    """Look until it fails: open connections hear of it a moment later."""
    async with asyncio.timeout(DEADLINE):
        while True:
            await store.changed_since(0.0)
