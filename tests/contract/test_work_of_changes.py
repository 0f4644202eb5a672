"""Durable work is committed with the change of a job that causes it, and ends with its job."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import NoReturn

import pytest
from msgspec import Raw, json
from sqlalchemy import Connection, Engine, event, text

from hookcast.bus import LocalBus
from hookcast.consequences import Consequences, Kind, Start
from hookcast.crowd import CROWD
from hookcast.dispatcher import Dispatcher
from hookcast.errors import NotStorable, StoreUnavailable
from hookcast.eventtypes import ENDS, EventType
from hookcast.jobs import (
    Cancelled,
    CancelRequested,
    Completed,
    Failed,
    Finished,
    Job,
    Phase,
    Progressed,
    Registered,
    Update,
)
from hookcast.journal import Event, Line
from hookcast.store import Change, JobStore, changes, open_store
from hookcast.store.changes import Effects
from hookcast.transitions import advance
from support.older import make_older
from support.pieces import FETCH, NEVER, claimed
from support.postgres import Postgres

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 24, 10, 0, 0, tzinfo=UTC)


@pytest.fixture
async def store(any_database_url: str) -> AsyncIterator[JobStore]:
    """An empty store."""
    async with open_store(any_database_url) as opened:
        yield opened


@pytest.fixture
def dispatcher(store: JobStore) -> Dispatcher:
    """What changes jobs."""
    return Dispatcher(store, LocalBus(lambda _: None), lambda: datetime.now(UTC))


@pytest.mark.parametrize("update", [Progressed(phase=Phase.SAVING), Finished(), Completed(result=Raw(b"1"))])
async def test_what_fal_is_asked_of_a_job_does_not_bring_it_back_once_it_is_removed(
    store: JobStore, dispatcher: Dispatcher, update: Update
) -> None:
    """The answer may come after the removal: neither the job nor work is made of it."""
    await dispatcher.apply("job-1", Completed(result=Raw(b"1")), "webhook")
    assert await store.remove_job("job-1")
    assert not (await dispatcher.apply("job-1", update)).changed
    assert (await store.get("job-1"), await store.work.request_ids()) == (None, set())


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
        found.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_the_usual_webhook_costs_nothing_for_work(dispatcher: Dispatcher) -> None:
    """The job is read and written, and the journal's line with it."""
    await dispatcher.apply("job-1", Registered(endpoint_id="fal-ai/flux"))
    with statements() as made:
        await dispatcher.apply("job-1", Completed(result=Raw(b"1")), "webhook")
    assert sum(each.startswith("SELECT") for each in made) == 1
    assert tables_of(made) == ["jobs", "journal"]
    with statements() as made:
        await dispatcher.apply("job-2", Progressed(phase=Phase.SAVING), "webhook")
    assert sorted(tables_of(made)) == ["jobs", "journal", "work"]


def tables_of(statements: list[str]) -> list[str]:
    """Return the tables into which these insert."""
    return re.findall(r"INSERT INTO (?:hookcast\.)?(\w+)", " ".join(statements))


@pytest.mark.parametrize("told", [frozenset(), frozenset(ENDS)], ids=["", "backend"])
async def test_one_statement_writes_a_usual_webhook_where_transactions_take_round_trips(
    postgres_url: str, told: frozenset[EventType]
) -> None:
    """Also for a backend that is told of it."""
    async with open_store(postgres_url) as store:
        dispatcher = Dispatcher(store, LocalBus(lambda _: None), lambda: datetime.now(UTC), tells=told)
        await dispatcher.apply("job-1", Registered(endpoint_id="fal-ai/flux"))
        with statements() as made:
            await dispatcher.apply("job-1", Completed(result=Raw(b"1")), "webhook")
    assert [each.split()[0] for each in made] == ["SELECT", "WITH"]


@pytest.mark.parametrize("position", [3, 2**70], ids=["", "not storable"])
async def test_changes_of_one_batch_are_told_apart(
    store: JobStore, position: int, request: pytest.FixtureRequest
) -> None:
    """Without and with work, which begins or ends; what cannot be stored; and a second one of a job."""
    dispatcher = Dispatcher(store, LocalBus(lambda _: None), lambda: datetime.now(UTC), tells=frozenset(ENDS))
    await asyncio.gather(
        *(dispatcher.apply(name, Registered(endpoint_id="a/b")) for name in ("queued", "told", "fetched", "odd"))
    )
    await dispatcher.apply("fetched", Progressed(phase=Phase.SAVING))
    updates: list[tuple[str, Update]] = [
        ("queued", Progressed(phase=Phase.QUEUED, queue_position=1)),
        ("told", Completed(result=Raw(b"1"))),
        ("fetched", Completed(result=Raw(b"1"))),
        ("odd", Progressed(phase=Phase.QUEUED, queue_position=position)),
        ("new", Registered()),
        ("told", Failed(error="late")),
    ]
    with statements() as made:
        found = await asyncio.gather(*(dispatcher.apply(*each) for each in updates), return_exceptions=True)
    whole = request.node.callspec.params["any_database_url"] == "postgresql"
    assert sum(statement.startswith("WITH") for statement in made) == whole
    changed = [each.changed if isinstance(each, Change) else type(each) for each in found]
    assert changed == [True, True, True, NotStorable if position > 3 else True, True, False]
    pieces = await store.work.claim(Kind.TELL.value, 10, "one", NEVER)
    assert sorted(piece.id for piece in pieces) == ["tell:fetched:ended", "tell:told:ended"]
    assert await store.work.waiting(FETCH) == 0
    events = {name: [entry.event for entry in await store.journal.of_job(name)] for name, _ in updates}
    assert events == {
        "queued": ["registered"],
        "told": ["registered", "ended"],
        "fetched": ["registered", "saving", "ended"],
        "odd": ["registered"],
        "new": ["registered"],
    }


@pytest.mark.parametrize("any_database_url", ["postgresql", "pooler"], indirect=True)
async def test_a_change_that_loses_a_race_writes_no_line_and_no_work(any_database_url: str, postgres: Postgres) -> None:
    """It is made again from what the other node has written; what comes with it is written once."""
    name = any_database_url.rpartition("/")[2]
    seen: list[tuple[str, int]] = []

    def end(job: Job | None) -> Job:
        assert job is not None
        seen.append((job.request_id, job.version))
        postgres.sql("UPDATE hookcast.jobs SET version = 2 WHERE request_id = 'late' AND version = 1", database=name)
        return advance(job, Completed(result=Raw(b"1")), now=NOW)

    def causes(_before: Job | None, after: Job, _intent: object) -> Effects:
        piece = Start(f"tell:{after.request_id}:{after.version}", Kind.TELL, after.request_id)
        line = Line(after.request_id, Event.ENDED, NOW, {"version": after.version})
        return Effects(Consequences(starts=(piece,)), (line,))

    async with open_store(any_database_url) as store:
        dispatcher = Dispatcher(store, LocalBus(lambda _: None), lambda: NOW)
        await asyncio.gather(*(dispatcher.apply(request_id, Registered()) for request_id in ("in time", "late")))
        await asyncio.gather(*(store.change(request_id, end, causes=causes) for request_id in ("in time", "late")))
        assert seen == [("in time", 1), ("late", 1), ("late", 2)]
        pieces = [piece.id for piece in await store.work.claim(Kind.TELL.value, 10, "one", NEVER)]
        assert sorted(pieces) == ["tell:in time:2", "tell:late:3"]
        for request_id, version in (("in time", 2), ("late", 3)):
            [ended] = [line for line in await store.journal.of_job(request_id) if line.event == "ended"]
            assert json.decode(ended.facts) == {"version": version}


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
