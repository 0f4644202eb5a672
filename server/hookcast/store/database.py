"""Transactions with a deadline; the one place where a library's error becomes ours."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from sqlalchemy import ColumnElement, Connection, Engine, Float, String, any_, bindparam, literal_column, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.schema import Table

from hookcast.errors import StoreUnavailable
from hookcast.store.engine import DRIVER_ERRORS, THREADS, create_engine, create_threaded_engine, upgrade

_T = TypeVar("_T")

DEADLINE_SECONDS = 5.0
MIGRATION_SECONDS = 300.0
MAX_OPEN_SECONDS = 600


class Database:
    """One database, SQLite or PostgreSQL. Everything here raises StoreUnavailable and nothing else."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url)
        self.sqlite = self._engine.dialect.name == "sqlite"
        self._threaded = create_threaded_engine(url) if self.sqlite else None
        self._threads = ThreadPoolExecutor(THREADS, "sqlite")
        # SQLite has one writer; waiting here is fair and wakes at once, its own busy handler polls.
        self._writer: asyncio.Lock | asyncio.Semaphore = asyncio.Lock() if self.sqlite else asyncio.Semaphore(1000)

    async def migrate(self) -> None:
        """Bring the schema up to date."""
        async with self.writing(MIGRATION_SECONDS) as connection:
            await connection.run_sync(upgrade)

    async def ping(self) -> None:
        """Ask the database for one row."""
        async with self.reading() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()
        await asyncio.to_thread(self._threads.shutdown)
        if self._threaded is not None:
            self._threaded.dispose()

    @property
    def clock(self) -> ColumnElement[float]:
        """The database's own clock in unix seconds, one for all nodes."""
        if self.sqlite:
            return literal_column("((julianday('now') - 2440587.5) * 86400.0)", Float)
        return literal_column("extract(epoch from clock_timestamp())::float8", Float)

    @property
    def horizon(self) -> ColumnElement[float]:
        """By that clock, until when everything that was written is visible; never after now.

        What is not committed yet was written later, by whatever node and however long its commit hangs.
        """
        if self.sqlite:  # one writer at a time, so rows become visible in the order of their writes
            newest = "(SELECT coalesce(max(changed_at), 0.0) FROM jobs)"
            return literal_column(f"min({newest}, (julianday('now') - 2440587.5) * 86400.0)", Float)
        oldest = "(SELECT min(xact_start) FROM pg_stat_activity WHERE datname = current_database() AND usename = user)"
        now = "clock_timestamp()"  # a transaction that somebody forgot is not waited for
        horizon = f"greatest(least({now}, {oldest}), {now} - interval '{MAX_OPEN_SECONDS} seconds')"
        return literal_column(f"extract(epoch from {horizon})::float8", Float)

    def among(self, column: ColumnElement[str]) -> ColumnElement[bool]:
        """Whether it is one of the list in the parameter `ids`; on PostgreSQL the same words for any number of them."""
        if self.sqlite:
            return column.in_(bindparam("ids", expanding=True))
        return column == any_(bindparam("ids", type_=postgresql.ARRAY(String)))

    def upsert(self, table: Table) -> postgresql.Insert:
        """An INSERT that knows ON CONFLICT, in the words of this database."""
        insert = sqlite.insert if self.sqlite else postgresql.insert
        return insert(table)  # type: ignore[return-value] # the two classes have the same methods

    async def write(self, work: Callable[[Connection], _T]) -> _T:
        """Do `work` in a transaction that is committed behind it. On SQLite it is one visit to a thread, not ten."""
        if self._threaded is not None:
            async with deadline(), self._writer:
                return await self._visit(self._threaded.execution_options(writes=True), work)
        async with self.writing() as connection:
            return await connection.run_sync(work)

    async def read(self, work: Callable[[Connection], _T]) -> _T:
        """Do `work`, which only reads."""
        if self._threaded is not None:
            async with deadline():
                return await self._visit(self._threaded, work)
        async with self.reading() as connection:
            return await connection.run_sync(work)

    async def _visit(self, engine: Engine, work: Callable[[Connection], _T]) -> _T:
        def run() -> _T:
            with engine.begin() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._threads, run)

    @asynccontextmanager
    async def writing(self, seconds: float = DEADLINE_SECONDS) -> AsyncIterator[AsyncConnection]:
        """A transaction that is committed at the end of the block, or not at all."""
        writer = self._engine.execution_options(writes=True)
        async with deadline(seconds), self._writer, writer.begin() as connection:
            yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection to read with."""
        async with deadline(), self._engine.connect() as connection:
            yield connection


@asynccontextmanager
async def deadline(seconds: float = DEADLINE_SECONDS) -> AsyncIterator[None]:
    """End the block in time, and with our own error."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except (SQLAlchemyError, TimeoutError, OSError, *DRIVER_ERRORS) as error:
        raise StoreUnavailable(f"The database did not answer as it should: {type(error).__name__}.") from error
