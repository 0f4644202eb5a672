"""Durable work, on SQLite and on PostgreSQL: claimed by one node at a time, and committed with its cause."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import NoReturn

import pytest
from msgspec import Raw, json
from sqlalchemy import Connection, Engine, event, text

from hookcast.bus import LocalBus
from hookcast.consequences import Kind, Start
from hookcast.crowd import CROWD
from hookcast.dispatcher import Dispatcher
from hookcast.errors import StoreUnavailable
from hookcast.eventtypes import ENDS
from hookcast.jobs import Cancelled, CancelRequested, Completed, Failed, Finished, Phase, Progressed, Registered, Update
from hookcast.store import JobStore, Record, WorkTable, changes, open_store
from hookcast.store.database import open_database
from hookcast.store.work import add
from support.older import make_older

pytestmark = pytest.mark.anyio
NEVER = 3600.0
AT_ONCE = -1.0
FETCH = Kind.FETCH


@pytest.fixture
async def store(any_database_url: str) -> AsyncIterator[JobStore]:
    """An empty store."""
    async with open_store(any_database_url) as opened:
        yield opened


@pytest.fixture
async def table(store: JobStore) -> WorkTable:
    """Its work."""
    return store.work


@pytest.fixture
def dispatcher(store: JobStore) -> Dispatcher:
    """What changes jobs."""
    return Dispatcher(store, LocalBus(lambda _: None), lambda: datetime.now(UTC))


async def fill(url: str, *names: str, after: float = AT_ONCE) -> None:
    """Add pieces, each due a second after the one before."""
    database = open_database(url)
    starts = [Start(f"fetch:{name}", FETCH, name, after + number, "{}") for number, name in enumerate(names)]
    await database.write(lambda connection: add(database, connection, starts))
    await database.close()


async def claimed(table: WorkTable, holder: str, limit: int = 100, seconds: float = NEVER) -> list[str]:
    """Claim what is due; return the jobs."""
    return sorted(piece.request_id for piece in await table.claim(FETCH, limit, holder, seconds))


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


@pytest.mark.parametrize("update", [Progressed(phase=Phase.SAVING), Finished(), Completed(result=Raw(b"1"))])
async def test_what_fal_is_asked_of_a_job_does_not_bring_it_back_once_it_is_removed(
    store: JobStore, dispatcher: Dispatcher, update: Update
) -> None:
    """The answer may come after the removal: neither the job nor work is made of it."""
    await dispatcher.apply("job-1", Completed(result=Raw(b"1")), "webhook")
    assert await store.remove_job("job-1")
    assert not (await dispatcher.apply("job-1", update)).changed
    assert (await store.get("job-1"), await store.work.request_ids()) == (None, set())


async def test_a_substitute_claims_what_nobody_has_for_a_while(table: WorkTable, any_database_url: str) -> None:
    await fill(any_database_url, "job-1", after=-60.0)
    await fill(any_database_url, "job-2")
    pieces = await table.claim(FETCH, 10, "two", NEVER, overdue=30.0)
    assert [piece.request_id for piece in pieces] == ["job-1"]
    assert await claimed(table, "one") == ["job-2"]


async def test_those_that_have_waited_longest_are_claimed_first(table: WorkTable, any_database_url: str) -> None:
    """At most as many as asked for, none before it is due, and none of another kind."""
    await fill(any_database_url, "a", "b", "c", "later", after=-2.5)
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


async def test_work_is_committed_with_its_cause_and_ends_with_the_job(store: JobStore, dispatcher: Dispatcher) -> None:
    """A repeated report adds nothing, and a missing piece is added again."""
    heard: list[bool] = []
    dispatcher.listen(lambda: heard.append(True))
    await dispatcher.apply("job-1", Registered(endpoint_id="fal-ai/flux"))
    await dispatcher.apply("job-1", Finished(), patience=NEVER)
    await dispatcher.apply("job-1", Progressed(phase=Phase.SAVING), "webhook")
    assert (await store.work.waiting(FETCH), await claimed(store.work, "one")) == (1, [])
    assert heard == [True, True]
    await dispatcher.apply("job-2", Registered())
    await dispatcher.apply("job-2", Progressed(phase=Phase.SAVING))
    assert await claimed(store.work, "one") == ["job-2"]
    await store.work.finish("fetch:job-2", "one")
    await dispatcher.apply("job-2", Finished())
    assert await claimed(store.work, "one") == ["job-2"]
    await asyncio.gather(*(dispatcher.apply(name, Completed(result=Raw(b"1"))) for name in ("job-1", "job-2")))
    assert await store.work.waiting(FETCH) == 0


async def test_a_cancelling_job_that_fal_has_finished_is_fetched(store: JobStore, dispatcher: Dispatcher) -> None:
    """Though the report does not change it."""
    await dispatcher.apply("job-1", Registered(endpoint_id="fal-ai/flux"))
    await dispatcher.apply("job-1", CancelRequested())
    assert not (await dispatcher.apply("job-1", Finished())).changed
    assert await store.work.waiting(FETCH) == 1
    await dispatcher.apply("job-1", Cancelled())
    assert await store.work.waiting(FETCH) == 0


async def test_without_its_cause_no_work_is_committed(
    store: JobStore, dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One transaction."""

    def broken(*_: object) -> NoReturn:
        raise OSError("cut")

    monkeypatch.setattr(changes, "settle", broken)  # the last statement of a change
    with pytest.raises(StoreUnavailable):
        await dispatcher.apply("job-1", Progressed(phase=Phase.SAVING), "webhook")
    assert (await store.get("job-1"), await store.work.waiting(FETCH)) == (None, 0)


@contextmanager
def statements() -> Iterator[list[str]]:
    """Collect the statements of every connection."""
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        found.append(" ".join(statement.split()[:3]).replace("hookcast.", ""))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_the_usual_webhook_costs_no_statement_for_work(dispatcher: Dispatcher) -> None:
    """The job is read and written, and the journal's lines with it."""
    await dispatcher.apply("job-1", Registered(endpoint_id="fal-ai/flux"))
    with statements() as made:
        await dispatcher.apply("job-1", Completed(result=Raw(b"1")), "webhook")
    assert [each.split()[0] for each in made if not each.startswith("BEGIN")] == ["SELECT", "INSERT", "INSERT"]
    assert made[-2:] == ["INSERT INTO jobs", "INSERT INTO journal"]
    with statements() as made:
        await dispatcher.apply("job-2", Progressed(phase=Phase.SAVING), "webhook")
    assert made[-3:] == ["INSERT INTO jobs", "INSERT INTO work", "INSERT INTO journal"]


@pytest.mark.empty_database
async def test_a_job_whose_result_was_being_fetched_before_is_fetched(any_database_url: str) -> None:
    """Its database had no work yet; jobs in other phases get none."""

    def older(connection: Connection) -> None:
        names = "request_id, status, version, phase, logs, metadata, created_at, updated_at, changed_at"
        values = ":name, :status, 1, :phase, '[]', '{}', '2026-11-24 09:00:00', '2026-11-24 09:00:00', 0"
        rows = [("job-1", "pending", "saving"), ("job-2", "pending", "running"), ("job-3", "completed", "ended")]
        connection.execute(
            text(f"INSERT INTO jobs ({names}) VALUES ({values})"),  # noqa: S608
            [{"name": name, "status": status, "phase": phase} for name, status, phase in rows],
        )

    await make_older(any_database_url, "0010", older)
    async with open_store(any_database_url) as store:
        [piece] = await store.work.claim(FETCH, 10, "one", NEVER)
        assert (piece.id, piece.request_id, piece.attempts) == ("fetch:job-1", "job-1", 1)


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


async def test_updates_count_as_a_crowd_until_they_are_committed(dispatcher: Dispatcher) -> None:
    """So that telling a backend gives way to webhooks."""
    updates = [dispatcher.apply(f"job-{number}", Registered()) for number in range(10 * CROWD)]
    dispatcher.crowd.crowded()
    await asyncio.gather(*updates)
    assert [dispatcher.crowd.crowded(), dispatcher.crowd.crowded()] == [True, False]


@pytest.mark.parametrize("by_hand", [True, False])
async def test_what_waits_to_be_sent_of_a_job_is_removed_with_it(store: JobStore, *, by_hand: bool) -> None:
    """So that a job of the same id is told of itself, and a receiver that is no longer set leaves nothing behind."""
    dispatcher = Dispatcher(store, LocalBus(lambda _: None), lambda: datetime.now(UTC), tells=ENDS)
    relay = Start("relay:job-1:x", Kind.RELAY, "job-1", facts="large")
    await dispatcher.apply("job-2", Completed(Raw(b"1")), "webhook")
    await dispatcher.apply("job-1", Failed("no"), "webhook", also=(relay,))
    if by_hand:
        await store.remove_job("job-1")
    else:
        await store.remove_ended(datetime.now(UTC) + timedelta(days=1), 10)
    assert await store.work.waiting(Kind.RELAY) == 0
    assert await store.work.waiting(Kind.TELL) == (1 if by_hand else 0)
    await dispatcher.apply("job-1", Registered())
    await dispatcher.apply("job-1", Completed(Raw(b"1")), "webhook")
    [told] = await store.work.of_job(Kind.TELL, "job-1")
    assert json.decode(told.facts)["type"] == "job.completed"
