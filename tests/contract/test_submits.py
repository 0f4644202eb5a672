"""Submits and their idempotency keys, on SQLite and on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from msgspec import Raw
from msgspec.structs import replace
from sqlalchemy import Connection, func, select, text

from hookcast.bus import LocalBus
from hookcast.dispatcher import Dispatcher
from hookcast.jobs import Completed, Job, Registered, Update
from hookcast.store import Intent, JobStore, KeptInput, Standing, changes, open_store
from hookcast.store.base import Database
from hookcast.store.database import open_database
from hookcast.store.schema import inputs
from hookcast.store.submits import named
from hookcast.upkeep.retention import Retention
from support.older import make_older

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
FACTS = Registered(endpoint_id="fal-ai/flux", owner="u", group="g", metadata={"n": Raw(b"1.0")})
_numbers = count(1)


@pytest.fixture
async def store(any_database_url: str) -> AsyncIterator[JobStore]:
    """An empty store."""
    async with open_store(any_database_url) as opened:
        yield opened


def intent(key: str | None = "k", *, at: datetime = NOW, digest: str = "d", caller: str = "") -> Intent:
    """A submit of its own id, under way for half a minute."""
    until = at + timedelta(seconds=30)
    name = f"intent-{next(_numbers)}"
    return Intent(id=name, facts=FACTS, asked_at=at, until=until, key=key, caller=caller, digest=digest)


def dispatcher(store: JobStore, now: datetime = NOW) -> Dispatcher:
    """What the webhook and fal's answer go through."""
    return Dispatcher(store, LocalBus(lambda _: None), lambda: now)


async def begin(store: JobStore, new: Intent, *, again: bool = False) -> Job | Standing | None:
    """Begin a submit."""
    return await store.submits.begin(new, again=again)


async def test_a_key_is_taken_by_one(store: JobStore) -> None:
    """However many come together, until it is released."""
    new = [intent() for _ in range(5)]
    answers = await asyncio.gather(*(begin(store, one) for one in new))
    assert sorted(answers, key=str) == [None, *[Standing.UNDER_WAY] * 4]
    await store.submits.release([new[answers.index(None)].id])
    assert await begin(store, intent()) is None


async def test_submits_without_a_key_have_nothing_in_common(store: JobStore) -> None:
    assert await asyncio.gather(*(begin(store, intent(None)) for _ in range(3))) == [None] * 3


async def test_a_key_without_an_outcome_is_in_the_dark_after_its_time(store: JobStore) -> None:
    """Or at once, when its submit says so; whoever takes it over is under way again, and alone."""
    first, later = intent(), NOW + timedelta(seconds=30)
    await begin(store, first)
    assert await begin(store, intent(), again=True) is Standing.UNDER_WAY
    assert await begin(store, intent(at=later)) is Standing.IN_THE_DARK
    await store.submits.darken(first.id, NOW)
    assert await begin(store, intent()) is Standing.IN_THE_DARK
    answers = await asyncio.gather(*(begin(store, intent(), again=True) for _ in range(5)))
    assert sorted(answers, key=str) == [None, *[Standing.UNDER_WAY] * 4]


async def test_a_key_belongs_to_a_body_and_a_caller(store: JobStore) -> None:
    first = intent(caller="key:a")
    await begin(store, first)
    others = [intent(caller="key:b"), intent(caller="key:a", digest="e")]
    assert [await begin(store, other) for other in others] == [Standing.OF_ANOTHER] * 2
    await dispatcher(store).apply("job-1", Registered(), submit=first.id)
    assert [await begin(store, other, again=True) for other in others] == [Standing.OF_ANOTHER] * 2


async def test_the_job_and_its_key_are_stored_together(store: JobStore) -> None:
    """The job has what was intended, in one version, and begins when it was asked for."""
    first = intent()
    await begin(store, first)
    later = NOW + timedelta(seconds=20)
    change = await dispatcher(store, later).apply("job-1", Completed(result=Raw(b"{}")), "webhook", submit=first.id)
    job = change.after
    assert (job.version, job.owner, job.group, job.endpoint_id) == (1, "u", "g", "fal-ai/flux")
    assert (bytes(job.metadata["n"]), job.created_at, job.completed_at) == (b"1.0", NOW, later)
    assert await begin(store, intent()) == job
    await store.submits.release([first.id])  # a gateway said that fal did not take it
    assert await begin(store, intent()) == job


async def test_an_intent_is_joined_by_one_job(any_database_url: str) -> None:
    """Whichever is first, on one node or on two."""
    async with open_store(any_database_url) as one, open_store(any_database_url) as two:
        for key in ("k", None):
            new = intent(key)
            await begin(one, new)
            asks = [(dispatcher(store), f"{key}-{number}") for number, store in enumerate((one, one, two, two))]
            await asyncio.gather(*(node.apply(name, Registered(), submit=new.id) for node, name in asks))
            jobs = await one.get_many([name for _, name in asks])
            assert sorted(str(job.owner) for job in jobs.values()) == ["None", "None", "None", "u"]


async def test_two_nodes_that_learn_of_one_job_make_it_one(any_database_url: str) -> None:
    """fal's answer on one, its webhook on the other, in whatever order."""
    async with open_store(any_database_url) as one, open_store(any_database_url) as two:
        for number in range(20):
            first = intent(f"k-{number}")
            await begin(one, first)
            answer = Registered(response_url="https://queue.fal.run/x", queue_position=1)
            await asyncio.gather(
                dispatcher(one).apply(f"job-{number}", answer, submit=first.id),
                dispatcher(two).apply(f"job-{number}", Completed(result=Raw(b"1")), "webhook", submit=first.id),
            )
            job = await one.get(f"job-{number}")
            assert job is not None
            assert (job.status, job.owner, job.response_url) == ("completed", "u", "https://queue.fal.run/x")
            assert await begin(two, intent(f"k-{number}")) == job


async def test_a_webhook_reads_no_submit_once_fals_answer_is_stored(
    store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor one that names none: most webhooks cost what they did before."""
    read = list[Sequence[str]]()

    def counted(database: Database, connection: Connection, ids: Sequence[str]) -> dict[str, Intent]:
        read.append(ids)
        return named(database, connection, ids)

    first = intent()
    await begin(store, first)
    monkeypatch.setattr(changes, "named", counted)
    node = dispatcher(store)
    await node.apply("job-1", Registered(response_url="https://queue.fal.run/x"), submit=first.id)
    assert read == [[first.id]]
    await node.apply("job-1", Completed(result=Raw(b"1")), "webhook", submit=first.id)
    await node.apply("job-2", Completed(result=Raw(b"1")), "webhook")
    assert read == [[first.id]]


async def test_the_key_of_a_removed_job_is_free(store: JobStore) -> None:
    first = intent()
    await begin(store, first)
    await dispatcher(store).apply("job-1", Completed(result=Raw(b"1")), "webhook", submit=first.id)
    assert await store.remove_ended(NOW + timedelta(days=1), 10) == 1
    assert await begin(store, intent(digest="e")) is None


async def test_keys_end_with_retention(store: JobStore) -> None:
    """Those of jobs that are kept stay, and so do young ones."""
    updates: list[Update] = [Registered(), Completed(result=Raw(b"1"))]
    for number, update in enumerate(updates):
        one = intent(f"k-{number}")
        await begin(store, one)
        await dispatcher(store).apply(f"job-{number}", update, "webhook", submit=one.id)
    later = NOW + timedelta(days=40)
    await begin(store, intent("old"))
    await begin(store, intent(None))
    await begin(store, intent("young", at=later - timedelta(days=1)))

    async def sleep(_seconds: float) -> None:
        return None

    assert await Retention(store, lambda: later, timedelta(days=30), sleep=sleep).clean() == 1
    taken = {key: await begin(store, intent(key, at=later)) for key in ("k-0", "k-1", "old", "young")}
    assert {key: answer is None for key, answer in taken.items()} == {
        "k-0": False,
        "k-1": True,
        "old": True,
        "young": False,
    }


@pytest.mark.empty_database
async def test_keys_of_an_older_version_stay_what_they_were(any_database_url: str) -> None:
    """For any body, since that is not known; without a job in the dark, and free when the job is gone."""

    def older(connection: Connection) -> None:
        insert = "INSERT INTO idempotency_keys (key, request_id, claimed_at) VALUES (:key, :job, '2026-11-24 09:00:00')"
        keys: list[dict[str, str | None]] = [
            {"key": "k", "job": "job-1"},
            {"key": "x" * 255, "job": None},
            {"key": "gone", "job": "job-2"},
        ]
        connection.execute(text(insert), keys)
        job = "INSERT INTO jobs (request_id, status, version, phase, logs, metadata, created_at, updated_at) VALUES "
        times = "'2026-11-24 09:00:00', '2026-11-24 09:00:00'"
        connection.execute(text(f"{job} ('job-1', 'pending', 1, 'queued', '[]', '{{}}', {times})"))

    await make_older(any_database_url, "0006", older)
    async with open_store(any_database_url) as store:
        found = await begin(store, intent("k"))
        assert isinstance(found, Job)
        assert found.request_id == "job-1"
        assert await begin(store, intent("x" * 255)) is Standing.IN_THE_DARK
        assert await begin(store, intent("gone")) is None


INPUT = KeptInput(
    input=Raw('{"seed": 9007199254740993, "n": 1.0, "p":\t"\\ud83d \\u0000 é"}'.encode()),
    headers={"X-Fal-Queue-Priority": "low"},
)


def keeping(key: str | None = None, *, at: datetime = NOW) -> Intent:
    """A submit whose input is kept."""
    return replace(intent(key, at=at), input=INPUT)


async def kept(url: str) -> int:
    """How many inputs the database has."""
    database = open_database(url)
    try:
        return await database.read(
            lambda connection: int(connection.scalar(select(func.count()).select_from(inputs)) or 0)
        )
    finally:
        await database.close()


@pytest.mark.parametrize("key", [None, "k"])
async def test_an_input_is_kept_byte_for_byte_until_its_job_is_removed(
    store: JobStore, any_database_url: str, key: str | None
) -> None:
    """Also by whom the job is made: here by the webhook, which comes before fal's answer."""
    first = keeping(key)
    await begin(store, first)
    await dispatcher(store).apply("job-1", Completed(result=Raw(b"{}")), "webhook", submit=first.id)
    await dispatcher(store).apply("job-1", Registered(response_url="https://queue.fal.test/r"), submit=first.id)
    found = await store.inputs.of_job("job-1")
    assert found is not None
    assert (bytes(found.input), found.headers) == (bytes(INPUT.input), INPUT.headers)
    assert await store.remove_job("job-1")
    assert (await store.inputs.of_job("job-1"), await kept(any_database_url)) == (None, 0)


async def test_an_input_goes_with_a_job_that_ended_long_ago(store: JobStore, any_database_url: str) -> None:
    """Others stay."""
    for number, now in enumerate((NOW, NOW + timedelta(days=2))):
        new = keeping(at=now)
        await begin(store, new)
        await dispatcher(store, now).apply(f"job-{number}", Completed(result=Raw(b"{}")), "webhook", submit=new.id)
    await Retention(store, lambda: NOW + timedelta(days=3), timedelta(days=2)).clean()
    assert [await store.inputs.of_job(f"job-{number}") is None for number in range(2)] == [True, False]
    assert await kept(any_database_url) == 1


async def test_an_input_goes_with_a_submit_that_made_no_job(store: JobStore, any_database_url: str) -> None:
    """fal refused it, or nothing was ever heard of it again; a repeat of a key that is in use keeps none."""
    refused, lost = keeping("k"), keeping()
    for new in (refused, lost, keeping("k")):
        await begin(store, new)
    assert await kept(any_database_url) == 2
    await store.submits.release([refused.id])
    assert await kept(any_database_url) == 1
    await Retention(store, lambda: NOW + timedelta(days=3), timedelta(days=2)).clean()
    assert await kept(any_database_url) == 0


async def test_a_submit_that_keeps_no_input_has_none(store: JobStore) -> None:
    first = intent()
    await begin(store, first)
    await dispatcher(store).apply("job-1", Registered(), submit=first.id)
    assert await store.inputs.of_job("job-1") is None
