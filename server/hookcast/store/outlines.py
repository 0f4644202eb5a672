"""Outlines of jobs: rows without their large values, so that a read of many jobs is small whatever their results."""

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, case, func, literal, null

from hookcast.jobs import Job
from hookcast.store.base import Database, Row
from hookcast.store.rows import from_row
from hookcast.store.schema import jobs
from hookcast.wire import LARGE_BYTES

# The columns that may be large, and their values in an outline.
_LARGE = {
    jobs.c.result: null(),
    jobs.c.error_detail: null(),
    jobs.c.logs: literal("[]"),
    jobs.c.metadata: literal("{}"),
}


class Outline(NamedTuple):
    """A job and the bytes left out of it.

    A result, an error detail, logs or metadata beyond LARGE_BYTES are not read, and `left_out` is their size; 0 = the
    job is whole.
    """

    job: Job
    left_out: int


def columns(database: Database) -> list[ColumnElement[Any]]:
    """Return the columns to select for `from_outline`."""
    sizes = [database.octets(column).label(f"{column.name}_size") for column in _LARGE]
    small = [
        case((database.octets(column) <= LARGE_BYTES, column), else_=nothing).label(column.name)
        for column, nothing in _LARGE.items()
    ]
    return [*(column for column in jobs.c if column not in _LARGE), *small, *sizes]


def size(database: Database) -> ColumnElement[int]:
    """Return the size in bytes of the columns of a row that may be large."""
    result, *others = (func.coalesce(database.octets(column), 0) for column in _LARGE)
    return sum(others, start=result)


def from_outline(row: Row) -> Outline:
    """Return the outline in a row."""
    sizes = (row[f"{column.name}_size"] or 0 for column in _LARGE)
    return Outline(from_row(row), sum(size for size in sizes if size > LARGE_BYTES))
