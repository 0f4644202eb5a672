"""Rows that another version of Hookcast has written, on SQLite and on PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from msgspec import Raw

from hookcast.jobs import Completed, EndedBy, Job, JobStatus, Phase, Progressed, Update, unseen
from hookcast.store import JobStore, open_store
from hookcast.store.database import open_database
from hookcast.store.schema import jobs
from hookcast.transitions import advance

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


@asynccontextmanager
async def row_of(url: str, *updates: Update, **columns: str | None) -> AsyncIterator[JobStore]:
    """A store with the job `job-1`, whose row was then changed by hand."""
    async with open_store(url) as store:
        for update in updates:
            await apply(store, update)
        database = open_database(url)
        await database.write(lambda connection: connection.execute(jobs.update().values(columns)))
        await database.close()
        yield store


async def apply(store: JobStore, update: Update) -> Job:
    """Advance the job."""

    def step(job: Job | None) -> Job:
        return advance(job or unseen("job-1", now=NOW), update, now=NOW)

    return (await store.change("job-1", step)).after


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
