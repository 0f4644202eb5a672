"""The journal and the refused webhooks, on SQLite and on PostgreSQL."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import Raw, json

from hookcast.bus import LocalBus
from hookcast.dispatcher import Dispatcher
from hookcast.jobs import CancelAsked, Completed, Failed, Phase, Progressed, Registered
from hookcast.journal import ROOM, Event, Refusals, line
from hookcast.store import Intent, JobStore, open_store
from hookcast.store.journal import KEPT_REFUSALS

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 29, 10, tzinfo=UTC)


class Clock:
    """A clock that the test moves, and that moves by a millisecond whenever it is read."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        """Return the time."""
        self.now += timedelta(milliseconds=1)
        return self.now


@pytest.fixture
async def store(any_database_url: str) -> AsyncIterator[JobStore]:
    """An empty store of the node `one`."""
    async with open_store(any_database_url, node="one") as opened:
        yield opened


@pytest.fixture
def dispatcher(store: JobStore) -> Dispatcher:
    """What changes jobs."""
    return Dispatcher(store, LocalBus(lambda _: None), Clock())


async def events(store: JobStore, request_id: str = "job-1") -> list[str]:
    """Return the events of a job's journal."""
    return [entry.event for entry in await store.journal.of_job(request_id)]


async def test_each_change_of_a_job_is_a_line_of_its_journal(store: JobStore, dispatcher: Dispatcher) -> None:
    await dispatcher.register("job-1", Registered(endpoint_id="fal-ai/flux"), by="key:abc")
    await dispatcher.apply("job-1", Progressed(phase=Phase.QUEUED, queue_position=3))
    await dispatcher.apply("job-1", Progressed(phase=Phase.RUNNING))
    await dispatcher.apply("job-1", CancelAsked(), by="key:abc")
    await dispatcher.apply("job-1", Completed(Raw(b"1")), "webhook")
    entries = await store.journal.of_job("job-1")
    assert [entry.event for entry in entries] == ["registered", "running", "cancel_asked", "webhook", "ended"]
    assert json.decode(entries[0].facts) == {"by": "key:abc"}
    assert json.decode(entries[3].facts) == {"answer": "accepted"}
    assert json.decode(entries[4].facts) == {"status": "completed", "endedBy": "webhook"}
    assert {entry.node for entry in entries} == {"one"}
    assert sorted(entries, key=lambda entry: entry.at) == entries


async def test_a_submit_is_in_the_journal_of_the_job_that_it_makes(store: JobStore, dispatcher: Dispatcher) -> None:
    """Also when fal's webhook arrives before its answer is stored: asked for first, whatever was written first."""
    facts = Registered(endpoint_id="fal-ai/flux", response_url="https://queue.fal.run/fal-ai/flux/requests/job-1")
    until = NOW + timedelta(seconds=30)
    intent = Intent(id="intent", facts=facts, asked_at=NOW, until=until, key="k", caller="key:abc", digest="d")
    await store.submits.begin(intent, again=False)
    await dispatcher.apply("job-1", Failed("no"), "webhook", submit="intent")
    await dispatcher.register("job-1", facts, submit="intent")
    assert await events(store) == ["submitted", "webhook", "ended", "accepted_by_fal"]
    first = (await store.journal.of_job("job-1"))[0]
    assert json.decode(first.facts) == {"by": "key:abc", "idempotencyKey": True}


async def test_a_journal_has_the_order_of_the_changes(store: JobStore, dispatcher: Dispatcher) -> None:
    """Also when the webhook arrived before fal's answer, and was committed after it."""
    await dispatcher.register("job-1", Registered(endpoint_id="fal-ai/flux"))
    await dispatcher.apply("job-1", Progressed(phase=Phase.SAVING))
    await dispatcher.apply("job-1", Completed(Raw(b"1")), "webhook", at=NOW)
    assert await events(store) == ["registered", "saving", "webhook", "ended"]


async def test_a_webhook_that_changes_nothing_is_a_line_too(store: JobStore, dispatcher: Dispatcher) -> None:
    await dispatcher.apply("job-1", Completed(Raw(b"1")), "webhook")
    await dispatcher.apply("job-1", Completed(Raw(b"1")), "webhook")
    last = (await store.journal.of_job("job-1"))[-1]
    assert (last.event, json.decode(last.facts)) == ("webhook", {"answer": "duplicate"})


async def test_the_lines_of_one_event_are_bounded(store: JobStore, dispatcher: Dispatcher) -> None:
    """A webhook that is replayed for ever does not fill the database, nor keep out other events."""
    await dispatcher.register("job-1", Registered())
    for _ in range(ROOM + 20):
        await store.journal.add([line("job-1", Event.WATCH_REFUSED, NOW, code="token_expired")])
        await store.journal.add([line("job-1", Event.PUSHED, NOW, to=1)])  # an ended job may be registered again
    await store.journal.add([line("job-1", Event.WATCHED, NOW, transport="sse")])
    found = await events(store)
    assert found.count("watch_refused") == found.count("pushed") == ROOM
    assert found.count("watched") == 1


async def test_a_backend_that_is_told_of_much_progress_leaves_room_for_the_end(
    store: JobStore, dispatcher: Dispatcher
) -> None:
    """Which is what is asked for."""
    await dispatcher.register("job-1", Registered())
    for _ in range(ROOM + 20):
        await store.journal.add([line("job-1", Event.TOLD, NOW, type="job.progress", ok=True)])
    for number in range(1, 11):
        await store.journal.add([line("job-1", Event.TOLD, NOW, type="job.completed", attempt=number)])
    told = [json.decode(entry.facts) for entry in await store.journal.of_job("job-1") if entry.event == "told"]
    assert [facts["attempt"] for facts in told if facts["type"] == "job.completed"] == list(range(1, 11))
    assert len(told) <= ROOM


async def test_lines_of_a_job_that_nobody_knows_are_not_written(store: JobStore) -> None:
    await store.journal.add([line("unknown", Event.WATCH_REFUSED, NOW, code="token_expired")])
    assert await events(store, "unknown") == []


async def test_a_text_that_no_database_stores_holds_up_no_other_line(store: JobStore, dispatcher: Dispatcher) -> None:
    """A peer may say anything."""
    await dispatcher.register("job-1", Registered())
    said = line("job-1", Event.ASKED, NOW, answer="a\ud800b\0c")
    await store.journal.add([said, line("job-1", Event.WATCHED, NOW, transport="sse")])
    [asked] = [entry for entry in await store.journal.of_job("job-1") if entry.event == "asked"]
    assert json.decode(asked.facts) == {"answer": "a?b\0c"}
    assert "watched" in await events(store)


async def test_the_lines_of_one_change_keep_their_order(store: JobStore) -> None:
    """They have the same time."""
    told = (Event.WEBHOOK, Event.SAVING, Event.FILE_LEFT, Event.ENDED)
    lines = [line("job-1", event, NOW, answer="accepted" if event is Event.WEBHOOK else None) for event in told]
    await store._database.write(lambda connection: store.journal.write(connection, lines))
    assert await events(store) == list(told)


async def test_a_journal_is_removed_with_its_job(store: JobStore, dispatcher: Dispatcher) -> None:
    """By hand, and once it is old."""
    for name in ("job-1", "job-2", "job-3"):
        await dispatcher.apply(name, Completed(Raw(b"1")), "webhook")
    assert await store.remove_job("job-1")
    assert [bool(await events(store, name)) for name in ("job-1", "job-2")] == [False, True]
    assert await store.remove_ended(NOW + timedelta(days=1), 10) == 2
    assert [await events(store, name) for name in ("job-2", "job-3")] == [[], []]


async def test_equal_refusals_of_an_hour_are_one_with_a_count_whatever_the_node(
    store: JobStore, any_database_url: str
) -> None:
    clock = Clock()
    refusals = Refusals(clock)
    async with open_store(any_database_url, node="two") as two:
        for journal in (store.journal, two.journal):
            for _ in range(3):
                refusals.add("signature_invalid", "why", "job-1", "203.0.113.7", [(b"X-Fal-Webhook-User-Id", b"u")])
            await journal.add_refusals(refusals.take())
    [found] = await store.journal.refused(request_id="job-1")
    assert (found.code, found.count, found.client) == ("signature_invalid", 6, "203.0.113.7")
    assert found.first_at < found.last_at
    assert found.headers == {"x-fal-webhook-user-id": "u"}
    clock.now += timedelta(hours=1)
    refusals.add("signature_invalid", "why", "job-1", "203.0.113.7", [])
    await store.journal.add_refusals(refusals.take())
    assert [each.count for each in await store.journal.refused()] == [1, 6]


async def test_only_the_newest_refusals_are_kept(store: JobStore) -> None:
    clock = Clock()
    refusals = Refusals(clock)
    for hour in range(KEPT_REFUSALS // 20 + 3):
        for number in range(20):
            refusals.add("malformed", "why", f"job-{number}", "203.0.113.7", [])
        clock.now += timedelta(hours=1)
        await store.journal.add_refusals(refusals.take())
        assert hour >= 0
    found = await store.journal.refused(limit=2 * KEPT_REFUSALS)
    assert len(found) == KEPT_REFUSALS
    assert min(each.last_at for each in found) > NOW + timedelta(hours=2)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE journal SET at = 'garbage' WHERE event = 'running'",
        "UPDATE journal SET facts = '{' WHERE event = 'running'",
        "UPDATE journal SET facts = '[1]' WHERE event = 'running'",
        "UPDATE journal SET event = 'of tomorrow' WHERE event = 'running'",
        "UPDATE refused_webhooks SET headers = '{', last_at = 'garbage' WHERE request_id = 'job-1'",
    ],
)
async def test_a_broken_line_does_not_hide_the_others(database_url: str, change: str) -> None:
    """SQLite takes any value in any column."""
    async with open_store(database_url, node="one") as store:
        dispatcher = Dispatcher(store, LocalBus(lambda _: None), Clock())
        await dispatcher.register("job-1", Registered(endpoint_id="fal-ai/flux"))
        await dispatcher.apply("job-1", Progressed(phase=Phase.RUNNING))
        refusals = Refusals(Clock())
        for name in ("job-1", "job-2"):
            refusals.add("signature_invalid", "None of fal's keys signed it.", name, "192.0.2.1", ())
        await store.journal.add_refusals(refusals.take())
        with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"))) as connection:
            assert connection.execute(change).rowcount == 1
            connection.commit()
        assert "registered" in await events(store)
        assert [json.decode(entry.facts, type=dict) for entry in await store.journal.of_job("job-1")]
        assert "job-2" in {refusal.request_id for refusal in await store.journal.refused()}
