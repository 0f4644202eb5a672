"""Rows that another version of Hookcast has written, on SQLite and on PostgreSQL."""

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime

import pytest
from msgspec import Raw
from structlog.testing import capture_logs

from hookcast.jobs import Completed, EndedBy, Failed, Job, JobStatus, Phase, Progressed, Registered, Update, unseen
from hookcast.push import Names
from hookcast.store import JobStore, open_store
from hookcast.store.database import open_database
from hookcast.store.listing import JobQuery, Order
from hookcast.store.schema import jobs
from hookcast.transitions import advance
from hookcast.upkeep.resync import Resync
from hookcast.wire import encode
from support.push import Watcher, make_engine

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


@asynccontextmanager
async def row_of(url: str, *updates: Update, **columns: str | int | None) -> AsyncIterator[JobStore]:
    """A store with the job `job-1`, whose row was then changed by hand."""
    async with open_store(url) as store:
        for update in updates:
            await apply(store, update)
        database = open_database(url)
        await database.write(lambda connection: connection.execute(jobs.update().values(columns)))
        await database.close()
        yield store


async def apply(store: JobStore, update: Update, request_id: str = "job-1") -> Job:
    """Advance the job."""

    def step(job: Job | None) -> Job:
        return advance(job or unseen(request_id, now=NOW), update, now=NOW)

    return (await store.change(request_id, step)).after


async def test_a_job_that_ended_before_there_was_a_phase_for_it_is_shown_as_ended(any_database_url: str) -> None:
    """How its end came is not known."""
    async with row_of(any_database_url, Completed(result=Raw(b"1")), phase="running", ended_by=None) as store:
        job = await store.get("job-1")
    assert job is not None
    assert (job.progress.phase, job.ended_by, job.status) == (Phase.ENDED, None, JobStatus.COMPLETED)


async def test_values_that_this_version_does_not_know_are_read_as_the_nearest(any_database_url: str) -> None:
    """The job can be shown, listed, asked about, and ended."""
    strange = {"phase": "warming", "logs": '[{"text": 1}]', "metadata": "[]", "ended_by": "magic"}
    async with row_of(any_database_url, Progressed(phase=Phase.RUNNING), **strange) as store:
        job = await store.get("job-1")
        assert job is not None
        assert (job.status, job.progress.phase, job.progress.logs) == (JobStatus.PENDING, Phase.RUNNING, ())
        assert (job.metadata, job.ended_by) == ({}, None)
        assert await store.leases.to_ask_about(5, created_before=NOW) == [job]
        ended = await apply(store, Completed(result=Raw(b"1")))
        assert (ended.status, ended.version, await store.get("job-1")) == (JobStatus.COMPLETED, 2, ended)


TIMES = ("created_at", "updated_at", "completed_at", "started_at", "cancel_asked_at")
BROKEN = [
    *((column, value) for column in TIMES for value in ("garbage", "", "2026-13-45 99:99:99", 5, b"\xff")),
    *((column, value) for column in ("result", "error_detail") for value in ("garbage", "", "{", "NaN", b"\xff")),
]


@pytest.mark.parametrize(("column", "value"), BROKEN)
async def test_a_broken_value_does_not_hide_other_jobs(database_url: str, column: str, value: object) -> None:
    """SQLite takes any value in any column. The job itself can be shown, and ended."""
    async with open_store(database_url) as store:
        for name in ("job-1", "job-2"):
            await apply(store, Progressed(phase=Phase.RUNNING), name)
        await write(database_url, f"UPDATE jobs SET {column} = ? WHERE request_id = 'job-1'", value)  # noqa: S608
        due = await store.leases.to_ask_about(5, created_before=NOW.replace(year=2027))
        assert "job-2" in {job.request_id for job in due}
        job = await store.get("job-1")
        assert job is not None
        assert json.loads(encode(job).body)["requestId"] == "job-1"
        ended = await apply(store, Failed(error="It broke"))
        assert (ended.status, ended.version) == (JobStatus.FAILED, 2)


WRONG = [
    (column.name, value)
    for column in jobs.columns
    for value in ("garbage", "", 1.5, -7, 2**63 - 1, float("inf"), b"\xff")
    if not column.primary_key
]


@pytest.mark.parametrize(("column", "value"), WRONG)
async def test_a_value_of_a_wrong_type_is_the_trouble_of_its_job_alone(
    database_url: str, column: str, value: object
) -> None:
    """Streams, lists and estimates have the other job, and both can be ended."""
    async with open_store(database_url) as store:
        for name in ("broken", "job-2"):
            await apply(store, Registered(owner="u", group="g", endpoint_id="a/b"), name)
            await apply(store, Completed(result=Raw(b"1")), name)
        await write(database_url, f"UPDATE jobs SET {column} = ? WHERE request_id = 'broken'", value)  # noqa: S608
        assert await seen(store) == ["job-2"] * 6
        for name in ("broken", "job-2", "new"):
            assert (await apply(store, Failed(error="It broke"), name)).status.terminal
        engine = make_engine(store)
        heard, resync = Watcher(), Resync(store, engine.hub, engine.subscriptions, seconds=1.0)
        await engine.subscriptions.join(heard, Names(everything=True, owners=("u",)))
        await apply(store, Registered(owner="u"), "new")
        await resync.look()
        assert ("new", 2) in heard.got


async def seen(store: JobStore) -> list[str]:
    """Who is found, of `job-2`, by a new stream, by lists in both orders, as ended, as kept, and as overdue."""
    engine = make_engine(store)
    joined = await engine.subscriptions.join(Watcher(), Names(owners=("u",), groups=("g",), everything=True))
    found = [[state.request_id for state in joined.states]]
    for order in Order:
        names: list[str] = []
        cursor = None
        for _ in range(3):
            page = await store.page(JobQuery(owner="u", order=order, limit=1, cursor=cursor))
            names, cursor = [*names, *page.request_ids], page.next_cursor
            if cursor is None:
                break
        found.append(names)
    early, late = NOW.replace(year=2000), NOW.replace(year=2100)
    found.append([ended.request_id for ended in await store.ended_between(early, late, "", 10)])
    found.append([named.request_id for named in await store.media_after("", 10)])
    await store.durations.usual_seconds("a/b")
    found.append(list(await store.get_many(["broken", "job-2"])))
    return ["job-2" for names in found if "job-2" in names]


@pytest.mark.parametrize("version", ["garbage", 1.5, 0, b"\xff"])
async def test_a_version_that_is_none_is_logged_once_and_begins_again(database_url: str, version: object) -> None:
    async with open_store(database_url) as store:
        name = f"broken-{version!r}"
        await apply(store, Registered(), name)
        await write(database_url, "UPDATE jobs SET version = ?", version)
        with capture_logs() as lines:
            assert [row.version for row in (await store.changed_since(0.0))[0]] == [0]
            assert (await apply(store, Failed(error="It broke"), name)).version == 1
        assert [row.version for row in (await store.changed_since(0.0))[0]] == [1]
    assert [(line["event"], line["request_id"], line["column"]) for line in lines] == [("row_broken", name, "version")]


@pytest.mark.parametrize("version", [-7, 0, 2**31 - 1])
async def test_a_version_that_has_no_next_one_begins_again(any_database_url: str, version: int) -> None:
    async with row_of(any_database_url, Progressed(phase=Phase.RUNNING), version=version) as store:
        assert (await apply(store, Failed(error="It broke"))).version == 1
        job = await store.get("job-1")
    assert job is not None
    assert (job.status, job.version) == (JobStatus.FAILED, 1)


async def write(url: str, statement: str, value: object) -> None:
    """Change the SQLite file behind the server's back."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        connection.execute(statement, (value,))
        connection.commit()


@pytest.mark.parametrize("column", ["result", "error_detail"])
async def test_a_truncated_result_is_shown_as_none(any_database_url: str, column: str) -> None:
    """However long: what clients get is JSON."""
    async with row_of(any_database_url, Completed(result=Raw(b"1")), **{column: '{"a": "' + "x" * 1000}) as store:
        job = await store.get("job-1")
    assert job is not None
    assert json.loads(encode(job).body)["errorDetail"] is None


@pytest.mark.parametrize(
    ("update", "read"), [(Completed(result=Raw(b"1")), JobStatus.FAILED), (Progressed(phase=Phase.RUNNING), "pending")]
)
async def test_an_unknown_status_is_terminal_if_the_job_has_ended(
    any_database_url: str, update: Update, read: JobStatus
) -> None:
    """Whatever it is called: an end is never taken back."""
    async with row_of(any_database_url, update, status="expired") as store:
        job = await store.get("job-1")
    assert job is not None
    assert (job.status, job.progress.phase is Phase.ENDED) == (read, job.status.terminal)
    assert job.ended_by in {None, EndedBy.ASKED}
