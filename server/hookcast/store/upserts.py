"""The statements that write new versions of jobs: without and with their effects; pure.

Effects are lines of the journal and pieces of work, begun or ended.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, Text, UpdateBase, and_, cast, not_, or_, select, true
from sqlalchemy.dialects.postgresql import Insert

from hookcast.store import work
from hookcast.store.base import Database, ForEach, ForTables, Given
from hookcast.store.journal import COUNTED_LINE, LINE, noting, noting_counted
from hookcast.store.rows import MAX_VERSION
from hookcast.store.schema import jobs


def _upsert(database: Database, given: Given) -> UpdateBase:
    """Return an upsert of jobs' rows. It writes newer versions, and returns the request IDs of these."""
    rows = select(*given.values(), database.clock).where(true())  # SQLite wants a WHERE before ON CONFLICT
    upsert = _newer(database.upsert(jobs).from_select([*given, "changed_at"], rows))
    return upsert if database.one_writer else upsert.returning(jobs.c.request_id)


def _newer(insert: Insert) -> Insert:
    columns = {column.name: insert.excluded[column.name] for column in jobs.columns if not column.primary_key}
    follows = jobs.c.version == insert.excluded.version - 1
    begins = and_(insert.excluded.version == 1, _broken(jobs.c.version))
    return insert.on_conflict_do_update(index_elements=["request_id"], set_=columns, where=or_(follows, begins))


def _broken(version: ColumnElement[int]) -> ColumnElement[bool]:
    """Return whether `rows.version_of` reads it as 0."""
    return or_(not_(version.between(1, MAX_VERSION)), version != cast(version, Integer))


def _upsert_with_effects(database: Database, given: Mapping[str, Given]) -> Select[Any]:
    """Return an upsert of jobs that also has the effects of the rows that it writes, and those of no row."""
    written = _upsert(database, given[JOBS]).cte("written")
    names = select(written.c.request_id)
    effects = [_effect(database, table, dict(columns), names) for table, columns in given.items() if table != JOBS]
    return names.add_cte(*(effect.cte() for effect in effects))


def _effect(database: Database, table: str, given: dict[str, ColumnElement[Any]], written: Select[Any]) -> UpdateBase:
    of = given.pop(OF)
    where = or_(of.is_(None), of.in_(written))
    if table == LINES:
        return noting(given, where)
    if table == COUNTED_LINES:
        return noting_counted(given, where)
    if table == STARTS:
        return work.adding(database, given, where)
    return work.ending(select(given["id"]).where(where))


OF = "of"  # in the row of an effect: the job that must be written, or null
JOBS, LINES, COUNTED_LINES, STARTS, ENDS = "job", "line", "counted", "start", "end"
UPSERT = ForEach({column.name: column.type for column in jobs.columns if column.name != "changed_at"}, _upsert)
UPSERT_WITH_EFFECTS = ForTables(
    {
        JOBS: UPSERT.columns,
        LINES: {OF: Text(), **LINE},
        COUNTED_LINES: {OF: Text(), **COUNTED_LINE},
        STARTS: {OF: Text(), **work.PIECE},
        ENDS: {OF: Text(), "id": Text()},
    },
    _upsert_with_effects,
)
