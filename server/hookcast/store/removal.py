"""Removal of old rows in small steps: each holds the writer for a moment, however large the rows are."""

import time
from typing import Any

from sqlalchemy import Column, Connection, Select, delete, func, select

from hookcast.store.base import Database

STEP_SECONDS = 0.005  # and the time of a commit, which takes about as long
AT_ONCE = 5  # rows per statement where there is one writer


async def remove(database: Database, due: Select[Any], limit: int, *, last: Column[Any] | None = None) -> int:
    """Delete at most `limit` of the rows whose primary key `due` selects; return how many. 0 = none is left.

    Where there is one writer, fewer are deleted: those that hold it for `STEP_SECONDS`. `last` is a column behind the
    large ones: SQLite reads a row up to it, so that deleting the row, which reads all of it, finds it in memory.
    """
    [key] = due.selected_columns
    named = database.among(key)
    assert due.whereclause is not None  # noqa: S101
    delete_these = delete(key.table).where(named, due.whereclause)
    at_once = AT_ONCE if database.one_writer else limit

    def read(connection: Connection) -> list[str]:
        keys: list[str] = list(connection.execute(due.limit(limit)).scalars())
        if last is not None:
            connection.execute(select(func.max(last)).where(named), {"ids": keys})
        return keys

    def write(connection: Connection) -> int:
        removed, until = 0, time.monotonic() + STEP_SECONDS
        for first in range(0, len(keys), at_once):
            removed += connection.execute(delete_these, {"ids": keys[first : first + at_once]}).rowcount
            if time.monotonic() > until:
                break
        return removed

    keys = await database.read(read)
    removed = await database.write(write) if keys else 0
    await database.settle()
    return removed
