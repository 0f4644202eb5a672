"""Removal of jobs with what belongs to them, and of old rows in small steps.

Each step takes a moment, however large the rows are: it holds the only writer, or is undone at a deadline.
"""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Column, Connection, Select, delete, func, select
from sqlalchemy.dialects.postgresql import Insert

from hookcast.consequences import erasure
from hookcast.jobs import JobStatus
from hookcast.store import journal, work
from hookcast.store.base import Database
from hookcast.store.inputs import forget_of_jobs
from hookcast.store.schema import inputs, jobs, removed_jobs, submits

STEP_SECONDS = 0.005  # where there is one writer; and the time of a commit, which takes about as long
LONG_STEP_SECONDS = 1.0  # where there are several
REMEMBERED_SECONDS = 3 * 86400.0  # fal repeats a webhook for two hours
AT_ONCE = 5  # rows per statement: PostgreSQL takes seconds to delete as many of 32 MB


Before = Callable[[Connection, Sequence[str]], None]


async def remove(
    database: Database, due: Select[Any], limit: int, *, last: Sequence[Column[Any]] = (), before: Before | None = None
) -> int:
    """Delete at most `limit` of the rows whose primary key `due` selects; return how many. 0 = none is left.

    Fewer are deleted when the step's time is up. `last` are columns behind the large ones: SQLite reads a row up to it,
    so that deleting the row, which reads all of it, finds it in memory.
    `before` is called in each transaction with the keys that are about to be deleted.
    """
    [key] = due.selected_columns
    named = database.among(key)
    assert due.whereclause is not None  # noqa: S101
    delete_these = delete(key.table).where(named, due.whereclause)
    step = STEP_SECONDS if database.one_writer else LONG_STEP_SECONDS

    def read(connection: Connection) -> list[str]:
        keys: list[str] = list(connection.execute(due.limit(limit)).scalars())
        for column in last:
            of_these = database.among(column.table.c[key.name])
            connection.execute(select(func.max(column)).where(of_these), {"ids": keys})
        return keys

    def write(connection: Connection) -> int:
        removed, until = 0, time.monotonic() + step
        for first in range(0, len(keys), AT_ONCE):
            some = keys[first : first + AT_ONCE]
            if before is not None:
                before(connection, some)
            removed += connection.execute(delete_these, {"ids": some}).rowcount
            if time.monotonic() > until:
                break
        return removed

    keys = await database.read(read)
    removed = await database.write(write) if keys else 0
    await database.settle()
    return removed


def ended(before: datetime) -> Select[Any]:
    """Return the selection of the jobs that ended before `before`, by name, the oldest first."""
    return select(jobs.c.request_id).where(jobs.c.completed_at < before).order_by(jobs.c.completed_at)


async def remove_ended_jobs(database: Database, before: datetime, limit: int) -> int:
    """Delete at most `limit` of the jobs that ended before `before`, the oldest first; return how many (see `remove`).

    Their journals, inputs and what waits to be sent are deleted with them, and the removal of their files is committed.
    """
    last, with_them = (jobs.c.changed_at, inputs.c.headers), partial(_with_them, database)
    return await remove(database, ended(before), limit, last=last, before=with_them)


async def remove_job(database: Database, request_id: str) -> bool:
    """Delete an ended job with all that belongs to it, and commit the removal of its files.

    For `REMEMBERED_SECONDS` no webhook makes it again: fal repeats one whose answer was lost. Return False if there is
    no such job.
    """
    gone = delete(jobs).where(jobs.c.request_id == request_id, jobs.c.status != JobStatus.PENDING.value)

    def write(connection: Connection) -> bool:
        _erase_files(database, connection, [request_id])
        if not connection.execute(gone).rowcount:
            return False
        _forget(database, connection, [request_id])
        connection.execute(delete(submits).where(submits.c.request_id == request_id))
        connection.execute(_remembered(database), {"request_id": request_id})
        return True

    return await database.write(write)


def removed_among(connection: Connection, among: Callable[[Any], Any], request_ids: Sequence[str]) -> set[str]:
    """Return those of the jobs that were removed by request within the last `REMEMBERED_SECONDS`."""
    found = select(removed_jobs.c.request_id).where(among(removed_jobs.c.request_id))
    return set(connection.execute(found, {"ids": list(request_ids)}).scalars())


async def forget_removed(database: Database, limit: int) -> int:
    """Forget at most `limit` of the jobs that were removed `REMEMBERED_SECONDS` ago; return how many (see `remove`)."""
    old = removed_jobs.c.removed_at < database.clock - REMEMBERED_SECONDS
    return await remove(database, select(removed_jobs.c.request_id).where(old), limit)


def _remembered(database: Database) -> Insert:
    insert = database.upsert(removed_jobs).values(removed_at=database.clock)
    return insert.on_conflict_do_update(index_elements=["request_id"], set_={"removed_at": insert.excluded.removed_at})


def _with_them(database: Database, connection: Connection, request_ids: Sequence[str]) -> None:
    _erase_files(database, connection, request_ids)
    _forget(database, connection, request_ids)


def _forget(database: Database, connection: Connection, request_ids: Sequence[str]) -> None:
    journal.forget(connection, database.among, request_ids)
    forget_of_jobs(connection, database.among, request_ids)
    work.forget(database, connection, request_ids)


def _erase_files(database: Database, connection: Connection, request_ids: Sequence[str]) -> None:
    with_files = select(jobs.c.request_id).where(
        database.among(jobs.c.request_id), jobs.c.media != "[]", jobs.c.completed_at.is_not(None)
    )
    found = connection.execute(with_files, {"ids": list(request_ids)}).scalars().all()
    if found:
        work.add(database, connection, [erasure(name) for name in sorted(found)])
