"""How often PostgreSQL is waited for: with a distant database, this is what a webhook and an opening stream take."""

import itertools
from datetime import UTC, datetime

import pytest
from msgspec import Raw
from sqlalchemy import text

from hookcast.bus import LocalBus
from hookcast.dispatcher import Dispatcher, Source
from hookcast.errors import StoreUnavailable
from hookcast.eventtypes import ENDS
from hookcast.jobs import Completed, Finished, Job, Phase, Progressed, Registered, Update, unseen
from hookcast.journal import Event, Line
from hookcast.store import JobStore, open_store, postgresql
from hookcast.store.changes import Effects
from hookcast.transitions import advance
from support.tap import Tap, tapped

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 24, 10, 0, 0, tzinfo=UTC)
WAITS = b"QSH"  # Query, Sync, Flush: the client waits for the answer


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    """The URL of the database that the fixture of this name has made."""
    found: str = request.getfixturevalue(request.param)
    return found


async def _end(store: JobStore, request_id: str) -> None:
    def step(job: Job | None) -> Job:
        return advance(job or unseen(request_id, now=NOW), Completed(result=Raw(b"{}")), now=NOW)

    line = Line(request_id, Event.ENDED, NOW, {"status": "completed"})
    await store.change(request_id, step, causes=lambda *_: Effects(lines=(line,)))


def _waits(tap: Tap) -> int:
    """Return the round trips of all connections (the protocol's chapter "Message Formats")."""
    return sum(kind in WAITS for received in tap.received for kind in _kinds(received))


def _kinds(received: bytearray) -> list[int]:
    kinds, at = [], int.from_bytes(received[:4])  # the first message has no kind
    while at < len(received):
        kinds.append(received[at])
        at += 1 + int.from_bytes(received[at + 1 : at + 5])
    return kinds


@pytest.mark.parametrize(
    ("url", "words", "change", "read"),
    [
        pytest.param("postgres_url", "", 2, 1, id="direct"),
        pytest.param("postgres_url", "&pgbouncer=true", 8, 4, id="said to be a pooler"),
        pytest.param("pooler_url", "", 8, 4, id="pooler"),
    ],
    indirect=["url"],
)
async def test_a_change_and_a_read_take_few_round_trips(url: str, words: str, change: int, read: int) -> None:
    """A pooler in transaction mode keeps nothing prepared, and needs a transaction to stay with one server."""
    address, _, name = url.rpartition("/")
    async with tapped(address) as (there, tap):
        user = address.rpartition("@")[0]
        async with open_store(f"{user}@{there.removeprefix('http://')}/{name}?sslmode=disable{words}") as store:
            await _end(store, "first")
            await store.outline("first")
            counts = [_waits(tap)]
            await _end(store, "second")
            counts.append(_waits(tap))
            await store.outline("second")
            counts.append(_waits(tap))
    assert [after - before for before, after in itertools.pairwise(counts)] == [change, read]


async def test_every_change_of_a_job_takes_two_round_trips(postgres_url: str) -> None:
    """With lines that are counted, with work that begins and ends, and for a job that stays as it is."""
    steps: list[tuple[Update, Source]] = [
        (Registered(endpoint_id="fal-ai/flux"), "hookcast"),
        (Progressed(phase=Phase.QUEUED, queue_position=3), "fal"),
        (Progressed(phase=Phase.RUNNING), "fal"),
        (Finished(), "fal"),
        (Completed(result=Raw(b"{}")), "webhook"),
        (Completed(result=Raw(b"{}")), "webhook"),
    ]
    address, _, name = postgres_url.rpartition("/")
    async with tapped(address) as (there, tap):
        user = address.rpartition("@")[0]
        async with open_store(f"{user}@{there.removeprefix('http://')}/{name}?sslmode=disable") as store:
            dispatcher = Dispatcher(store, LocalBus(lambda _: None), lambda: NOW, tells=frozenset(ENDS))
            for request_id in ("first", "second"):  # the first time, statements are prepared
                counts = [_waits(tap)]
                for update, source in steps:
                    await dispatcher.apply(request_id, update, source)
                    counts.append(_waits(tap))
            assert [after - before for before, after in itertools.pairwise(counts)] == [2] * len(steps)
            assert [entry.event for entry in await store.journal.of_job("second")] == [
                *("registered", "running", "saving", "webhook", "ended", "webhook"),
            ]


async def test_statements_that_stay_prepared_are_planned_for_their_values(postgres_url: str) -> None:
    """A generic plan that was made while a table was small goes on scanning all of it."""
    async with open_store(postgres_url) as store:
        for number in range(10):  # PostgreSQL considers such a plan from the sixth time on
            await _end(store, f"job-{number}")
        used = text(
            "SELECT sum(generic_plans), sum(custom_plans) > 9 FROM pg_prepared_statements "
            "WHERE cardinality(parameter_types) > 0"
        )
        assert await store._database.read(lambda connection: tuple(connection.execute(used).one())) == (0, True)


async def test_a_pooler_that_looks_like_a_server_costs_one_transaction(
    monkeypatch: pytest.MonkeyPatch, pooler_url: str
) -> None:
    """It has passed the id of its server on: from the first statement that is not there, nothing is prepared."""

    async def enable_prepared(_connection: object) -> bool:
        return True

    monkeypatch.setattr(postgresql, "enable_prepared", enable_prepared)
    async with open_store(pooler_url) as store:
        failed = []
        for name in ("first", "second", "third"):
            try:
                await _end(store, name)
            except StoreUnavailable:
                failed.append(name)
        assert failed == ["first"]
        assert [await store.outline(name) is not None for name in ("first", "second", "third")] == [False, True, True]
