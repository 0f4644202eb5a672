"""PostgreSQL through asyncpg, directly or behind a pooler in transaction mode."""

import itertools
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Executable,
    Float,
    Select,
    String,
    Table,
    any_,
    bindparam,
    event,
    func,
    literal,
    literal_column,
    select,
    text,
    true,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.types import TypeEngine
from sqlalchemy.util import await_only

from hookcast.errors import StoreUnavailable, Trouble
from hookcast.postgres_url import SCHEMA, PostgresUrl
from hookcast.store import moving, place
from hookcast.store.base import (
    MAX_OPEN_SECONDS,
    WAIT_SECONDS,
    Database,
    ForEach,
    ForTables,
    Given,
    Rows,
    T,
    Work,
    WriteTables,
)
from hookcast.store.connecting import Connector, enable_prepared
from hookcast.store.revision import VERSIONS, Schema
from hookcast.store.schema import metadata

_CONNECTIONS = 5
_STATEMENTS = 100  # kept prepared, per connection
_DIRECT, _MADE_AT = "direct", "made_at"  # in the pool's notes on a connection; monotonic seconds
_MIGRATION_LOCK = 4_826_163_950_127_731  # arbitrary; must be unused by other programs in the same database
# After these the server may be another one, or shutting down: every connection is replaced.
_DISTRUSTED = frozenset({Trouble.READ_ONLY, Trouble.UNREACHABLE, Trouble.TIMEOUT})
_DISTRUST_SECONDS = 1.0  # at most this often
# A prepared statement does not exist, or already does: a pooler has passed on its server's process id.
_NOT_DIRECT = frozenset({"26000", "42P05"})
_READ_ONLY = text("SELECT current_setting('transaction_read_only')")
_SPILL = text(  # sorts more than work_mem holds: PostgreSQL writes it to temporary files, and leaves nothing behind
    "SELECT count(*) FROM (SELECT row_number() OVER (ORDER BY md5(i::text) || repeat('x', 500)) FROM "
    "generate_series(1, 500) AS i) AS sorted"
)


class Postgresql(Database):
    """Behind a pooler, uses no session state: the pooler may switch servers between transactions.

    Without one, statements stay prepared and a read needs no transaction: it takes one round trip instead of four, and
    a change with its line of the journal two instead of eight.
    """

    one_writer = False

    def __init__(self, url: PostgresUrl, schema: str = SCHEMA) -> None:
        super().__init__()
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            connect_args={"prepared_statement_cache_size": 0},
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_timeout=WAIT_SECONDS,
            pool_recycle=1800,
            execution_options={"schema_translate_map": {None: schema}},
            hide_parameters=True,  # payloads, in the traceback of a bug
        )
        self._connector = Connector(url)
        self._made: dict[ForEach, Executable] = {}
        self._made_for_tables: dict[tuple[ForTables | str, ...], Executable] = {}
        self._prepares = url.prepares
        self._direct = False  # the newest connection: all are alike
        self._distrusted_at = 0.0  # older connections are replaced when they leave the pool
        event.listen(self._engine.sync_engine, "do_connect", self._connect)
        event.listen(self._engine.sync_engine, "checkout", self._check_age)
        event.listen(self._engine.sync_engine, "handle_error", self._check_direct)

    @property
    def clock(self) -> ColumnElement[float]:
        """The server's `clock_timestamp()`."""
        return literal_column("extract(epoch from clock_timestamp())::float8", Float)

    @property
    def horizon(self) -> ColumnElement[float]:
        """The start of the oldest transaction that has written, but at most `MAX_OPEN_SECONDS` ago.

        A forgotten one is ignored, and so are those that only read, such as a backup's: they have no id.
        """
        oldest = (
            "(SELECT min(xact_start) FROM pg_stat_activity"
            " WHERE datname = current_database() AND usename = user AND backend_xid IS NOT NULL)"
        )
        now = "clock_timestamp()"
        horizon = f"greatest(least({now}, {oldest}), {now} - interval '{MAX_OPEN_SECONDS} seconds')"
        return literal_column(f"extract(epoch from {horizon})::float8", Float)

    def check_writable(self, connection: Connection) -> None:
        """Raise StoreUnavailable on a standby and on a fenced primary, whose connections are then replaced."""
        if connection.execute(_READ_ONLY).scalar_one() == "on":
            why = "its transactions are read-only, as on a standby or a former primary"
            said = "The database accepts no writes"
            raise StoreUnavailable(f"{said}.", Trouble.READ_ONLY, reason=f"{said}: {why}.")

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

    def for_each(self, connection: Connection, statement: ForEach, rows: Sequence[Sequence[Any]]) -> Sequence[Any]:
        """Execute it with one array for each column: one round trip for any number of rows."""
        made = self._made.get(statement)
        if made is None:
            made = self._made[statement] = statement.make(self, _unnested("given", statement.columns))
        found = connection.execute(made, _arrays("given", statement.columns, rows))
        return found.scalars().all() if found.returns_rows else ()

    def _for_tables(self, connection: Connection, statement: ForTables, rows: Mapping[str, Rows]) -> Sequence[Any]:
        """Execute it with one array for each column of each table: one round trip."""
        made = self._made_for_tables.get((statement, *rows))
        if made is None:
            given = {table: _unnested(table, statement.tables[table]) for table in rows}
            made = self._made_for_tables[statement, *rows] = statement.make(self, given)
        arrays: dict[str, list[Any]] = {}
        for table, its in rows.items():
            arrays |= _arrays(table, statement.tables[table], its)
        return connection.execute(made, arrays).scalars().all()

    async def _run(self, work: Work[T], *, writes: bool) -> T:
        async with self._engine.begin() if writes else self._engine.connect() as connection:
            return await connection.run_sync(work if writes else _reading(work))

    async def at_once(self, work: Callable[[Connection, WriteTables], T]) -> T | None:
        """Run `work`, unless a pooler needs a transaction to stay at one server."""
        return await self._watched(self._run_at_once(work), writes=False) if self._direct else None

    async def _run_at_once(self, work: Callable[[Connection, WriteTables], T]) -> T | None:
        def run(connection: Connection) -> T | None:
            if not connection.info[_DIRECT]:
                return None
            return _reading(lambda given: work(given, partial(self._for_tables, given)))(connection)

        async with self._engine.connect() as connection:
            return await connection.run_sync(run)

    async def close(self) -> None:
        """Close the pool."""
        await self._engine.dispose()

    def _await_turn(self, connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _MIGRATION_LOCK})

    def _before_migration(self, connection: Connection, found: Schema) -> None:
        if found is Schema.NONE:
            place.make(connection)
            moving.move(connection)
        place.enter(connection)

    def _after_migration(self, connection: Connection) -> None:
        place.close(connection, [VERSIONS, *metadata.tables])

    def _allocate(self, connection: Connection) -> None:
        connection.execute(text("SET LOCAL work_mem = '64kB'"))
        connection.execute(_SPILL)

    def _failed(self, error: StoreUnavailable) -> None:
        super()._failed(error)
        now = time.monotonic()
        if error.trouble in _DISTRUSTED and now - self._distrusted_at >= _DISTRUST_SECONDS:
            self._distrusted_at = now

    def _connect(
        self, _dialect: Dialect, entry: ConnectionPoolEntry, _arguments: list[Any], options: dict[str, Any]
    ) -> None:
        """Open a connection for the pool; what SQLAlchemy makes of it is in the options."""
        connection = await_only(self._connector.connect())
        entry.info[_MADE_AT] = time.monotonic()
        self._direct = entry.info[_DIRECT] = self._prepares and await_only(enable_prepared(connection))

        async def opened() -> Any:
            return connection

        options["async_creator_fn"] = opened
        if entry.info[_DIRECT]:
            options["prepared_statement_cache_size"] = _STATEMENTS
            # On a pooler that looks like a server, a name must not be that of another connection's statement.
            name = f"hookcast_{secrets.token_hex(4)}_{{}}"
            options["prepared_statement_name_func"] = map(name.format, itertools.count()).__next__

    def _check_age(self, _connection: DBAPIConnection, entry: ConnectionPoolEntry, _proxy: object) -> None:
        if entry.info[_MADE_AT] < self._distrusted_at:
            raise DisconnectionError("made before the database was in trouble")

    def _check_direct(self, context: ExceptionContext) -> None:
        if getattr(context.original_exception, "sqlstate", None) in _NOT_DIRECT:
            self._prepares = self._direct = False
            self._distrusted_at = time.monotonic()


def _unnested(table: str, columns: Mapping[str, TypeEngine[Any]]) -> Given:
    """Return the columns of a table that is made of one array for each, in parameters."""
    arrays = [bindparam(f"{table}_{name}", type_=postgresql.ARRAY(kind)) for name, kind in columns.items()]
    return dict(func.unnest(*arrays).table_valued(*columns).render_derived(name=table).columns)


def _arrays(table: str, columns: Iterable[str], rows: Rows) -> dict[str, list[Any]]:
    """Return the parameters of such a table."""
    return {f"{table}_{name}": [row[number] for row in rows] for number, name in enumerate(columns)}


def _reading(work: Work[T]) -> Work[T]:
    """Return work that begins no transaction, where none is needed to stay at one server."""

    def read(connection: Connection) -> T:
        if connection.info[_DIRECT]:
            connection.execution_options(isolation_level="AUTOCOMMIT")
        return work(connection)

    return read
