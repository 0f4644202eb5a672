"""SQLite: one file, one writer, concurrent readers, each transaction in a thread."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec import json
from sqlalchemy import (
    URL,
    Column,
    ColumnElement,
    Connection,
    Float,
    LargeBinary,
    Select,
    Table,
    bindparam,
    cast,
    create_engine,
    event,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import OperationalError

from hookcast.store.base import (
    MIGRATION_SECONDS,
    REWRITE_SECONDS,
    WAIT_SECONDS,
    Database,
    ForEach,
    LookUp,
    T,
    Work,
    deadline,
)
from hookcast.store.prepared import Prepared, PreparedSelect
from hookcast.store.room import check_file, use_space

# WAL: readers do not wait for the writer. FULL: an acknowledged webhook survives a power cut. INCREMENTAL: the file can
# shrink; it has to come before the first table, and has no effect on a file that has tables already.
_PRAGMAS = ("busy_timeout=4000", "auto_vacuum=INCREMENTAL", "journal_mode=WAL", "synchronous=FULL")
_SHRINKABLE = 2  # the value of `PRAGMA auto_vacuum` for such a file
_PAGES = 16  # freed between two reads of the clock
_PAUSES = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)  # seconds
_READERS = 4
# Errors whose cause SQLite does not report, such as a quota: a write to the folder finds it.
_UNCLEAR = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})
_NOW = "(julianday('now') - 2440587.5) * 86400.0"


class Sqlite(Database):
    """Writers queue for a single thread, which is fair; SQLite's own busy handler polls."""

    one_writer = True

    def __init__(self, url: URL) -> None:
        super().__init__()
        self._file = Path(url.database or "")
        engine = create_engine(
            url,
            pool_size=_READERS + 1,
            max_overflow=0,
            pool_timeout=WAIT_SECONDS,
            hide_parameters=True,  # payloads, in the traceback of a bug
        )
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _on_begin)
        self._engine = engine
        self._engines = {writes: engine.execution_options(writes=writes) for writes in (False, True)}
        self._number: int | None = None  # of the file's inode
        self._prepared: dict[ForEach, Prepared] = {}
        self._prepared_look_ups: dict[LookUp[Any], PreparedSelect] = {}
        self._writer = ThreadPoolExecutor(1, "sqlite-writer")
        self._readers = ThreadPoolExecutor(_READERS, "sqlite-reader")

    @property
    def clock(self) -> ColumnElement[float]:
        """SQLite's `julianday('now')`, the clock of this machine."""
        return literal_column(f"({_NOW})", Float)

    @property
    def horizon(self) -> ColumnElement[float]:
        """The newest write: with one writer at a time, rows become visible in the order they were written."""
        newest = "(SELECT coalesce(max(changed_at), 0.0) FROM jobs)"
        return literal_column(f"min({newest}, {_NOW})", Float)

    def among(self, column: ColumnElement[str]) -> ColumnElement[bool]:
        """Return IN, with one parameter per element."""
        return column.in_(bindparam("ids", expanding=True))

    def of_each(self, column: Column[str], names: Iterable[str], rows: Select[Any]) -> Select[Any]:
        """Return a join of JSON's elements with the rows that a correlated subquery finds for each."""
        given = func.json_each(json.encode(sorted(names)).decode()).table_valued("value")
        table = column.table.alias()
        found = rows.with_only_columns(column.table.c.request_id).where(column == given.c.value).correlate(given)
        columns = (table.c[selected.name] for selected in rows.selected_columns)
        return select(*columns).select_from(given.join(table, table.c.request_id.in_(found)))

    def octets(self, column: ColumnElement[Any]) -> ColumnElement[int]:
        """Return `octet_length`, which reads no text, or in older releases the length of a BLOB."""
        if sqlite3.sqlite_version_info >= (3, 43):
            return func.octet_length(column)
        return func.length(cast(column, LargeBinary))

    def is_time(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        """Return whether SQLite's own form of the time is what is stored."""
        return func.strftime("%Y-%m-%d %H:%M:%S", column) == func.substr(column, 1, 19)

    def upsert(self, table: Table) -> postgresql.Insert:
        """Return SQLite's INSERT, whose ON CONFLICT methods match PostgreSQL's."""
        return sqlite.insert(table)  # type: ignore[return-value]

    def for_each(self, connection: Connection, statement: ForEach, rows: Sequence[Sequence[Any]]) -> Sequence[Any]:
        """Execute it with the driver's `executemany`, which returns nothing."""
        prepared = self._prepared.get(statement)
        if prepared is None:
            given = [bindparam(name, type_=kind) for name, kind in statement.parameters.items()]
            made = statement.make(self, dict(zip(statement.columns, given, strict=True)))
            prepared = self._prepared[statement] = Prepared(made, statement.parameters, self._engine.dialect)
        connection.exec_driver_sql(prepared.sql, prepared.rows(rows))
        return ()

    async def look_up(self, query: LookUp[T], ids: Sequence[str]) -> list[T]:
        """Execute it with the driver alone: for a few rows, SQLAlchemy and a transaction cost more than these."""
        prepared = self._prepared_look_ups.get(query)
        if prepared is None:
            among = query.key.in_(select(func.json_each(bindparam("ids")).table_valued("value").c.value))
            prepared = PreparedSelect(select(*query.columns).where(among), self._engine.dialect)
            self._prepared_look_ups[query] = prepared

        def run() -> list[T]:
            connection = self._engine.raw_connection()
            try:
                cursor = connection.cursor().execute(prepared.sql, prepared.parameters(ids=json.encode(ids).decode()))
                return [query.make(row) for row in prepared.rows(cursor.fetchall())]
            finally:
                connection.close()  # back to the pool

        return await self._watched(self._in_thread(run, self._readers), writes=False)

    async def _run(self, work: Work[T], *, writes: bool) -> T:
        engine = self._engines[writes]

        def run() -> T:
            with engine.begin() as connection:
                if writes:
                    self._check_in_place()
                return work(connection)

        return await self._in_thread(run, self._writer if writes else self._readers)

    async def _in_thread(self, run: Callable[[], T], threads: ThreadPoolExecutor) -> T:
        def explained() -> T:
            try:
                return run()
            except (OperationalError, sqlite3.OperationalError) as error:
                if _code_of(error) in _UNCLEAR:
                    use_space(self._file)
                raise

        return await asyncio.get_running_loop().run_in_executor(threads, explained)

    def _check_in_place(self) -> None:
        """Raise FileNotFoundError unless the file is still the one that was opened: SQLite does not notice in WAL mode.

        What is written to a removed file is gone with the process.
        """
        try:
            number = self._file.stat().st_ino
        except FileNotFoundError:
            number = None
        self._number = self._number or number
        if number != self._number:
            raise FileNotFoundError(f"{self._file.absolute()} was removed or replaced: put it back, or restart")

    async def shrink(self, seconds: float) -> bool:
        """Move pages from the end of the file to unused ones, and cut it off."""

        def work(connection: Connection) -> int:
            if connection.exec_driver_sql("PRAGMA auto_vacuum").scalar_one() != _SHRINKABLE:
                return 0
            cursor, until = connection.connection.cursor(), time.monotonic() + seconds
            while unused := connection.exec_driver_sql("PRAGMA freelist_count").scalar_one():
                if time.monotonic() > until:
                    break
                for _ in range(min(unused, _PAGES)):  # the driver frees one page a call, whatever the number
                    cursor.execute("PRAGMA incremental_vacuum(1)")
            return int(unused)

        unused = await self.write(work)
        await self.settle()
        return unused > 0

    async def rewrite(self) -> None:
        """Run VACUUM, which also applies `auto_vacuum` to a file of an earlier version."""

        def run() -> None:
            with closing(self._engine.raw_connection()) as connection:
                connection.cursor().execute("VACUUM")

        async with deadline(REWRITE_SECONDS):
            await asyncio.get_running_loop().run_in_executor(self._writer, run)

    async def settle(self) -> None:
        """Write the WAL back to the file. Left to a commit, this would hold the writer."""
        await self.read(lambda connection: connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").all())

    async def migrate(self, seconds: float = MIGRATION_SECONDS) -> None:
        """Check the file and its folder first: SQLite itself does not report what is wrong with them."""
        check_file(self._file)
        await super().migrate(seconds)

    def _await_turn(self, connection: Connection) -> None:
        """Return at once: the transaction holds the write lock."""

    def _allocate(self, _connection: Connection) -> None:
        use_space(self._file)

    async def close(self) -> None:
        """Wait for the threads, then close their connections."""
        for threads in (self._writer, self._readers):
            await asyncio.to_thread(threads.shutdown)
        self._engine.dispose()


def _code_of(error: OperationalError | sqlite3.OperationalError) -> int:
    origin = error.orig if isinstance(error, OperationalError) else error
    return getattr(origin, "sqlite_errorcode", 0) & 0xFF  # without the extension


def _prepare(connection: DBAPIConnection, _record: object) -> None:
    # The driver's own BEGIN comes late and would let two writers read the same row first; see _on_begin.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        _set(cursor, pragma)
    cursor.close()


def _set(cursor: DBAPICursor, pragma: str) -> None:
    """Set a pragma, retrying while busy: SQLite does not wait for other connections' locks when switching to WAL."""
    for pause in (*_PAUSES, None):
        try:
            cursor.execute(f"PRAGMA {pragma}")
        except sqlite3.OperationalError as error:
            if pause is None or error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            time.sleep(pause)
        else:
            return


def _on_begin(connection: Connection) -> None:
    """Take the write lock before reading when the transaction writes, so that what was read stays valid."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
