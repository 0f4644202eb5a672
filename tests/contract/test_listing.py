"""Listings: what a caller sees, page by page, and that hidden jobs cost nothing; on SQLite and on PostgreSQL."""

import itertools
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, Executable, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ClauseElement

from hookcast.auth import EVERYBODY, Caller
from hookcast.jobs import Job, JobStatus, Phase, Progress
from hookcast.store import JobQuery, JobStore, Order, open_store
from hookcast.store.database import open_database
from hookcast.store.listing import Feed, latest, listed
from hookcast.store.removal import ended
from hookcast.store.rows import to_row
from hookcast.store.schema import jobs

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
CROWD = 20_000
AFFORDABLE = 90  # see `cost`; a walk through the crowd costs more
OWNERS, GROUPS = (None, "me", "other"), (None, "g", "h", "i")
CALLERS = [
    EVERYBODY,
    Caller(),
    Caller(sub="me"),
    Caller(sub="nobody"),
    Caller(groups=frozenset({"g"})),
    Caller(groups=frozenset({"g", "h", "ghost"})),
    Caller(jobs=frozenset({"job-3", "job-33", "job-333"})),
    Caller(sub="me", groups=frozenset({"g", "i"}), jobs=frozenset({"job-7", "job-8"})),
    Caller(sub="other", groups=frozenset(f"g{number}" for number in range(990)) | {"h"}),
]
FILTERS: list[dict[str, Any]] = [
    {"owner": owner, "group": group, "status": status}
    for owner, group, status in itertools.product((None, "me", "ghost"), (None, "g", "ghost"), (None, "pending"))
]


@pytest.fixture
async def store(any_database_url: str) -> AsyncIterator[JobStore]:
    """An empty store."""
    async with open_store(any_database_url) as opened:
        yield opened


async def some_jobs(store: JobStore) -> list[Job]:
    """Sixty jobs, several of each moment, newest first."""
    chance = random.Random(17)  # noqa: S311
    made = []
    for number in range(60):
        moment = NOW + timedelta(seconds=chance.randrange(12))
        job = Job(
            request_id=f"job-{number}",
            created_at=moment,
            updated_at=moment + timedelta(milliseconds=number),
            status=chance.choice(list(JobStatus)),
            version=1,
            owner=chance.choice(OWNERS),
            group=chance.choice(GROUPS),
        )
        ended = Phase.ENDED if job.status.terminal else Phase.QUEUED
        job = replace(job, progress=Progress(phase=ended), completed_at=moment if job.status.terminal else None)
        await store.change(job.request_id, lambda _, job=job: job)  # type: ignore[misc]
        made.append(job)
    return sorted(made, key=lambda job: (job.created_at, job.request_id), reverse=True)


def wanted(every: list[Job], caller: Caller, owner: str | None, group: str | None, status: str | None) -> list[Job]:
    """What the caller sees of these jobs."""
    return [
        job
        for job in every
        if caller.sees(job.request_id, job.owner, job.group)
        and owner in {None, job.owner}
        and group in {None, job.group}
        and status in {None, job.status.value}
    ]


def names(found: list[Job]) -> list[str]:
    """Their requestIds."""
    return [job.request_id for job in found]


async def test_the_pages_of_a_listing_hold_what_the_caller_sees_each_job_once(store: JobStore) -> None:
    """Newest first, whatever makes it visible, and whichever filters are set."""
    every = await some_jobs(store)
    for caller, filters in itertools.product(CALLERS, FILTERS):
        status = None if filters["status"] is None else JobStatus(filters["status"])
        query = JobQuery(**{**filters, "status": status}, limit=7, seen_by=caller)
        assert await all_pages(store, query) == names(wanted(every, caller, **filters)), (caller, filters)


async def all_pages(store: JobStore, query: JobQuery) -> list[str]:
    """The requestIds on all pages, each of which is full but the last."""
    found: list[str] = []
    while True:
        page = await store.page(query)
        found += page.request_ids
        if page.next_cursor is None:
            return found
        assert len(page.request_ids) == query.limit
        query = replace(query, cursor=page.next_cursor)


async def test_a_listing_by_the_latest_changes_pages_through_the_same_jobs(store: JobStore) -> None:
    every = sorted(await some_jobs(store), key=lambda job: (job.updated_at, job.request_id), reverse=True)
    for caller, owner, group in itertools.product(CALLERS, ("me", "ghost", None), ("g", "ghost", None)):
        if (owner is None) is (group is None):
            continue
        query = JobQuery(owner=owner, group=group, order=Order.UPDATED, limit=7, seen_by=caller)
        assert await all_pages(store, query) == names(wanted(every, caller, owner, group, None)), (caller, owner, group)


async def test_the_tag_of_a_page_changes_with_its_jobs_only(store: JobStore) -> None:
    """With a new version, a new job, and another page after it."""
    every = await some_jobs(store)
    query = JobQuery(limit=60)
    tags = [(await store.page(query)).tag for _ in range(2)]
    changed = replace(every[9], version=2)
    await store.change(changed.request_id, lambda _: changed)
    tags.append((await store.page(query)).tag)
    assert (await store.page(replace(query, limit=9))).tag == (await store.page(replace(query, limit=9))).tag
    older = replace(every[-1], request_id="older", created_at=NOW - timedelta(days=1))
    await store.change("older", lambda _: older)
    tags.append((await store.page(query)).tag)
    newer = replace(older, request_id="newer", created_at=NOW + timedelta(days=1))
    await store.change("newer", lambda _: newer)
    tags.append((await store.page(query)).tag)
    assert tags[0] == tags[1]
    assert len(set(tags)) == 4


async def test_of_a_group_the_jobs_that_changed_last_come_first(store: JobStore) -> None:
    """Those that the caller sees."""
    every = sorted(await some_jobs(store), key=lambda job: job.updated_at, reverse=True)
    for caller, group in itertools.product(CALLERS, ("g", "h", "ghost")):
        assert list(await store.of_group(group, 5, caller)) == names(wanted(every, caller, None, group, None))[:5]


def fill(connection: Connection) -> None:
    """Very many jobs of one group and one owner, made at once, which change one after the other, and a few others."""
    for many, owner in ((CROWD, "crowd"), (30, "me")):
        statuses = itertools.cycle(("pending", "completed"))
        rows = [
            {
                **to_row(
                    Job(
                        request_id=f"{owner}-{number}",
                        owner=owner,
                        group=owner,
                        created_at=NOW,
                        updated_at=NOW - timedelta(milliseconds=number),
                    )
                ),
                "status": (status := next(statuses)),
                "completed_at": NOW if status == "completed" else None,
                "changed_at": 0.0,
            }
            for number in range(many)
        ]
        connection.execute(jobs.insert(), rows)
    if connection.dialect.name == "postgresql":
        connection.execute(text("ANALYZE hookcast.jobs"))


class Explain(Executable, ClauseElement):
    """EXPLAIN of a statement."""

    inherit_cache = False

    def __init__(self, statement: Executable) -> None:
        self.statement = statement


@compiles(Explain, "sqlite")
def _explain_query_plan(element: Explain, compiler: Any, **options: Any) -> str:
    return "EXPLAIN QUERY PLAN " + str(compiler.process(element.statement, **options))


@compiles(Explain, "postgresql")
def _explain_analyze(element: Explain, compiler: Any, **options: Any) -> str:
    return "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + str(compiler.process(element.statement, **options))


def cost(connection: Connection, statement: Executable | None) -> int:
    """Return what the statement costs: blocks read by PostgreSQL, hundreds of instructions of SQLite's machine.

    Fails when the plan reads a whole table or index.
    """
    if statement is None:
        return 0
    if connection.dialect.name == "postgresql":
        [plan] = connection.execute(Explain(statement)).scalar_one()
        assert "Seq Scan" not in str(plan)
        blocks = int(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"])
        assert blocks < AFFORDABLE, plan
        return blocks
    steps = [step.detail for step in connection.execute(Explain(statement))]
    assert not [step for step in steps if step.startswith("SCAN jobs")]
    driver: Any = connection.connection.driver_connection
    count = itertools.count()
    driver.set_progress_handler(lambda: next(count) and None, 100)
    connection.execute(statement).all()
    driver.set_progress_handler(None, 100)
    return next(count)


async def test_no_selection_reads_what_it_does_not_return(any_database_url: str) -> None:
    """A few entries of an index: of a group that exists as of one that does not, or of jobs that ended long ago."""
    async with open_store(any_database_url):
        pass
    database = open_database(any_database_url)
    await database.write(fill, 60.0)
    cursor = (NOW, "crowd-5")
    me = Caller(sub="me", groups=frozenset({"me", "g"}), jobs=frozenset({"me-3", "me-4"}))

    def look(connection: Connection) -> None:
        for caller, owner, group, after in itertools.product(
            (EVERYBODY, Caller(sub="nobody"), me), (None, "crowd"), (None, "crowd", "ghost"), (None, cursor)
        ):
            for status in (None, JobStatus.PENDING, JobStatus.FAILED):
                query = JobQuery(owner=owner, group=group, status=status, limit=5, cursor=after, seen_by=caller)
                assert cost(connection, listed(database, query)) < AFFORDABLE, query
            if (group is None) is not (owner is None):
                query = JobQuery(owner=owner, group=group, order=Order.UPDATED, limit=5, cursor=after, seen_by=caller)
                assert cost(connection, listed(database, query)) < AFFORDABLE, query
            if group is not None:
                feed = Feed(5, group=group, seen_by=caller)
                assert cost(connection, latest(database, feed)) < AFFORDABLE, feed
        for owner in ("crowd", "me", "nobody"):
            assert cost(connection, latest(database, Feed(5, owner=owner))) < AFFORDABLE, owner
        assert cost(connection, ended(NOW - timedelta(days=30)).limit(500)) < AFFORDABLE

    await database.write(look, 120.0)  # it only reads, but for longer than a read may take
    await database.close()
