"""PostgreSQL through asyncpg, directly or behind a pooler in transaction mode."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    URL,
    Column,
    ColumnElement,
    Connection,
    Float,
    Select,
    String,
    Table,
    any_,
    bindparam,
    func,
    literal,
    literal_column,
    select,
    text,
    true,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import create_async_engine

from hookcast.store.base import MAX_OPEN_SECONDS, WAIT_SECONDS, Database, T, Work

_CONNECTIONS = 5
_MIGRATION_LOCK = 4_826_163_950_127_731  # arbitrary; must be unused by other programs in the same database
# URL parameters of other drivers and poolers, which asyncpg does not know.
_FOREIGN_WORDS = ("sslmode", "pgbouncer", "connection_limit", "pool_timeout", "schema")


class Postgresql(Database):
    """Uses only unnamed prepared statements and no session state: a pooler may switch servers between transactions."""

    one_writer = False

    def __init__(self, url: URL) -> None:
        arguments: dict[str, Any] = {
            "timeout": WAIT_SECONDS,
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
        }
        if "sslmode" in url.query:
            arguments["ssl"] = url.query["sslmode"]
        self._engine = create_async_engine(
            url.set(drivername="postgresql+asyncpg").difference_update_query(_FOREIGN_WORDS),
            connect_args=arguments,
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_timeout=WAIT_SECONDS,
            pool_recycle=1800,
        )

    @property
    def clock(self) -> ColumnElement[float]:
        """The server's `clock_timestamp()`."""
        return literal_column("extract(epoch from clock_timestamp())::float8", Float)

    @property
    def horizon(self) -> ColumnElement[float]:
        """The start of the oldest open transaction, but at most `MAX_OPEN_SECONDS` ago: a forgotten one is ignored."""
        oldest = "(SELECT min(xact_start) FROM pg_stat_activity WHERE datname = current_database() AND usename = user)"
        now = "clock_timestamp()"
        horizon = f"greatest(least({now}, {oldest}), {now} - interval '{MAX_OPEN_SECONDS} seconds')"
        return literal_column(f"extract(epoch from {horizon})::float8", Float)

    def among(self, column: ColumnElement[str]) -> ColumnElement[bool]:
        """Return ANY of an array: the same SQL for any length."""
        return column == any_(bindparam("ids", type_=postgresql.ARRAY(String)))

    def of_each(self, column: Column[str], names: Iterable[str], rows: Select[Any]) -> Select[Any]:
        """Return a lateral join of an array's elements with the rows of each."""
        given = func.unnest(literal(sorted(names), postgresql.ARRAY(String))).table_valued("name").render_derived()
        found = rows.where(column == given.c.name).correlate(given).lateral()
        return select(*found.c).select_from(given.join(found, true()))

    def octets(self, column: ColumnElement[Any]) -> ColumnElement[int]:
        """Return `octet_length`, which reads no text that is stored out of line."""
        return func.octet_length(column)

    def upsert(self, table: Table) -> postgresql.Insert:
        """Return PostgreSQL's INSERT."""
        return postgresql.insert(table)

    async def _run(self, work: Work[T], *, writes: bool) -> T:
        async with self._engine.begin() if writes else self._engine.connect() as connection:
            return await connection.run_sync(work)

    async def close(self) -> None:
        """Close the pool."""
        await self._engine.dispose()

    def _upgrade(self, connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _MIGRATION_LOCK})
        super()._upgrade(connection)
