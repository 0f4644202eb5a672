"""Durable work, on SQLite and on PostgreSQL: claimed by one node at a time."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from hookcast.consequences import Kind, Start
from hookcast.store import JobStore, Record, WorkTable, open_store
from support.pieces import AT_ONCE, FETCH, NEVER, claimed, fill

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(any_database_url: str) -> AsyncIterator[JobStore]:
    """An empty store."""
    async with open_store(any_database_url) as opened:
        yield opened


@pytest.fixture
async def table(store: JobStore) -> WorkTable:
    """Its work."""
    return store.work


async def test_a_piece_is_claimed_by_one_node_until_its_lease_ends(table: WorkTable, any_database_url: str) -> None:
    """Each claim counts; the facts come with it."""
    await fill(any_database_url, "job-1")
    [first] = await table.claim(FETCH, 10, "one", AT_ONCE)
    assert (first.id, first.kind, first.attempts, first.facts) == ("fetch:job-1", "fetch", 1, "{}")
    [second] = await table.claim(FETCH, 10, "two", NEVER)
    assert second.attempts == 2
    assert await claimed(table, "one") == []
    assert await table.waiting(FETCH) == 1


async def test_work_without_a_cause_is_added_once(table: WorkTable) -> None:
    """And its jobs are named, whether it is claimed or not."""
    starts = [Start(f"fetch:{name}", FETCH, name) for name in ("job-2", "job-1")]
    await table.start(starts)
    assert len(await claimed(table, "one", limit=1)) == 1
    await table.start([*starts, Start("keep:job-1", Kind.KEEP, "job-1")])
    assert await table.request_ids() == {"job-1", "job-2"}
    assert (await table.waiting(FETCH), await table.waiting(Kind.KEEP)) == (2, 1)


async def test_a_substitute_claims_what_nobody_has_for_a_while(table: WorkTable, any_database_url: str) -> None:
    await fill(any_database_url, "job-1", after=-60.0)
    await fill(any_database_url, "job-2")
    pieces = await table.claim(FETCH, 10, "two", NEVER, overdue=30.0)
    assert [piece.request_id for piece in pieces] == ["job-1"]
    assert await claimed(table, "one") == ["job-2"]


async def test_those_that_have_waited_longest_are_claimed_first(table: WorkTable, any_database_url: str) -> None:
    """At most as many as asked for, none before it is due, and none of another kind."""
    await fill(any_database_url, "a", "b", "c", after=-2.5)
    await fill(any_database_url, "later", after=NEVER)
    assert await table.claim("keep", 10, "one", NEVER) == []
    assert await claimed(table, "one", 2) == ["a", "b"]
    assert await claimed(table, "one", 5) == ["c"]


async def test_only_the_node_that_has_a_piece_ends_it(table: WorkTable, any_database_url: str) -> None:
    """One that lost its lease changes nothing."""
    await fill(any_database_url, "job-1")
    await claimed(table, "one", seconds=AT_ONCE)
    await claimed(table, "two")
    assert not await table.finish("fetch:job-1", "one")
    assert not await table.later("fetch:job-1", "one", AT_ONCE, "{}")
    assert await table.finish("fetch:job-1", "two")
    assert await table.waiting(FETCH) == 0


async def test_a_piece_put_off_is_due_later_with_its_new_facts(table: WorkTable, any_database_url: str) -> None:
    await fill(any_database_url, "job-1")
    await claimed(table, "one")
    assert await table.later("fetch:job-1", "one", NEVER, '{"pause":1.0}')
    assert await claimed(table, "two") == []
    assert (await table.next_due([FETCH]))[FETCH] == pytest.approx(NEVER, abs=60)
    await fill(any_database_url, "job-2")
    await claimed(table, "one")
    assert await table.later("fetch:job-2", "one", AT_ONCE, '{"pause":2.0}')
    [piece] = await table.claim(FETCH, 10, "two", NEVER)
    assert (piece.request_id, piece.facts) == ("job-2", '{"pause":2.0}')


async def test_a_renewed_lease_is_kept_and_a_lost_one_is_told(table: WorkTable, any_database_url: str) -> None:
    """Lost to another node, or deleted with its job's end."""
    await fill(any_database_url, "a", "b", "c", after=-10.0)
    await claimed(table, "one", seconds=AT_ONCE)
    assert await table.renew(["fetch:a", "fetch:b"], "one", NEVER) == {"fetch:a", "fetch:b"}
    assert await claimed(table, "two") == ["c"]
    assert await table.finish("fetch:b", "one")
    assert await table.renew(["fetch:a", "fetch:b", "fetch:c"], "one", NEVER) == {"fetch:a"}


async def test_what_a_node_gives_back_is_free_at_once(table: WorkTable, any_database_url: str) -> None:
    """Only its own."""
    await fill(any_database_url, "a", "b", after=-10.0)
    assert await claimed(table, "one", 1) == ["a"]
    assert await claimed(table, "two", 1) == ["b"]
    await table.release("one")
    assert await claimed(table, "three") == ["a"]


async def test_the_next_due_piece_is_told_by_kind(table: WorkTable, any_database_url: str) -> None:
    """Claimed ones do not count."""
    assert await table.next_due([]) == {}
    assert await table.next_due([FETCH, "keep"]) == {}
    await fill(any_database_url, "a", after=-100.0)
    await fill(any_database_url, "b", after=100.0)
    assert (await table.next_due([FETCH, "keep"]))[FETCH] < -50
    await claimed(table, "one")
    assert (await table.next_due([FETCH]))[FETCH] > 50


async def test_of_the_nodes_that_race_for_work_each_piece_goes_to_one(any_database_url: str) -> None:
    """Many at a time, from both ends of the same moment."""
    names = [f"job-{number:03}" for number in range(120)]
    async with open_store(any_database_url) as one, open_store(any_database_url) as two:
        await fill(any_database_url, *names, after=-1000.0)

        async def all_of(store: JobStore, holder: str) -> list[str]:
            got: list[str] = []
            while some := await claimed(store.work, holder, 7):
                got += some
            return got

        got = await asyncio.gather(*(all_of(store, f"{store is one}-{turn}") for store in (one, two) for turn in "ab"))
    assert sorted(name for some in got for name in some) == names


async def test_a_piece_is_added_once(table: WorkTable, any_database_url: str) -> None:
    """Its time and facts stay."""
    await fill(any_database_url, "job-1", after=-50.0)
    await fill(any_database_url, "job-1", after=50.0)
    assert await table.waiting(FETCH) == 1
    assert (await table.next_due([FETCH]))[FETCH] < 0


async def test_many_pieces_are_finished_and_postponed_in_one_transaction(
    table: WorkTable, any_database_url: str
) -> None:
    """Each answer is of its own piece: whether its holder had it still."""
    await fill(any_database_url, *"abcd", after=-10.0)
    await claimed(table, "one")
    await table.finish("fetch:d", "one")
    records = [
        Record("fetch:c", "one", NEVER),
        Record("fetch:a", "one"),
        Record("fetch:b", "two"),
        Record("fetch:d", "one"),
        Record("fetch:b", "one", AT_ONCE, '{"pause":3.0}'),
    ]
    assert await table.record(records) == [True, True, False, False, True]
    [piece] = await table.claim(FETCH, 10, "two", NEVER)
    assert (piece.id, piece.facts) == ("fetch:b", '{"pause":3.0}')
    assert {each.id: (each.facts, each.claimed) for each in await table.of_job(FETCH, "c")} == {
        "fetch:c": ("{}", False)
    }


async def test_a_piece_may_be_claimed_without_its_facts(table: WorkTable) -> None:
    """Which may be large; they stay as they are when it is postponed."""
    facts = '"' + "ä" * 1000 + '"'
    await table.start([Start("relay:job-1:x", Kind.RELAY, "job-1", facts=facts)])
    for _ in range(2):
        [piece] = await table.claim(Kind.RELAY, 10, "one", NEVER, light=True)
        assert piece.facts == ""
        assert (await table.size(piece.id), await table.facts(piece.id)) == (2002, facts)
        assert await table.record([Record(piece.id, "one", AT_ONCE)]) == [True]
    assert (await table.size("relay:job-2:x"), await table.facts("relay:job-2:x")) == (None, None)


async def test_work_begins_anew_whatever_became_of_it(table: WorkTable) -> None:
    """One that is there is due now, and free; who has it will neither end nor postpone it."""
    for facts in ('{"tries":4}', '{"tries":0}'):
        await table.again([Start("tell:job-1:ended", Kind.TELL, "job-1", facts=facts)])
        [piece] = await table.claim(Kind.TELL, 10, facts, NEVER)
        assert (piece.attempts, piece.facts) == (1, facts)
    assert not await table.finish("tell:job-1:ended", '{"tries":4}')
    assert await table.waiting(Kind.TELL) == 1


async def test_the_work_of_a_job_is_found(table: WorkTable, any_database_url: str) -> None:
    """Of one kind; when it is due, and whether a node has it."""
    await fill(any_database_url, "job-1", after=100.0)
    await table.start([Start("tell:job-1:2", Kind.TELL, "job-1"), Start("tell:job-2:2", Kind.TELL, "job-2")])
    await table.claim(Kind.TELL, 1, "one", NEVER)
    [one], [two] = [await table.of_job(Kind.TELL, name) for name in ("job-1", "job-2")]
    assert sorted([one.claimed, two.claimed]) == [False, True]
    assert one.seconds < 50
    [fetch] = await table.of_job(FETCH, "job-1")
    assert (fetch.id, fetch.claimed, fetch.seconds > 50) == ("fetch:job-1", False, True)
    assert await table.of_job(FETCH, "job-3") == []


async def test_needless_work_is_dropped_unless_a_node_has_it(table: WorkTable, any_database_url: str) -> None:
    await fill(any_database_url, "job-1", "job-2", after=-2.5)
    [piece] = await table.claim(FETCH, 1, "one", NEVER)
    await table.drop(["fetch:job-1", "fetch:job-2", "fetch:job-3"])
    assert await table.request_ids() == {piece.request_id}
