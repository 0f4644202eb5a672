"""Durable work is committed with the change of a job that causes it, and ends with its job."""

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
from hookcast.store import JobStore, changes, open_store
from support.older import make_older
from support.pieces import FETCH, NEVER, claimed

pytestmark = pytest.mark.anyio


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
