"""Transactions with a deadline, on SQLite or PostgreSQL. Every library error becomes a StoreUnavailable here.

Work is a plain function of a SQLAlchemy `Connection`. On SQLite it runs in a thread, on PostgreSQL in SQLAlchemy's
bridge to asyncpg. A whole transaction is one call either way.
"""

import asyncio
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import ColumnElement, Connection, Table, text
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from hookcast.errors import StoreUnavailable

T = TypeVar("T")
Work = Callable[[Connection], T]

DEADLINE_SECONDS = 5.0
MIGRATION_SECONDS = 300.0
MAX_OPEN_SECONDS = 600
WAIT_SECONDS = 4  # for a free connection, or for a lock

VALUE_ERRORS = (DataError, IntegrityError, UnicodeError, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
"""Errors of one row's values, not of the database; somewhere in the chain of causes."""

_DRIVER_ERRORS = (  # may escape SQLAlchemy's own tree while a connection is opened or closed
    UnicodeError,
    sqlite3.Error,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncio.IncompleteReadError,
)


class Database(ABC):
    """One database. Its methods raise StoreUnavailable and nothing else."""

    one_writer: bool
    """Whether writers take turns, so that a write never loses a race."""

    @property
    @abstractmethod
    def clock(self) -> ColumnElement[float]:
        """The database's own clock in unix seconds, the same for every node."""

    @property
    @abstractmethod
    def horizon(self) -> ColumnElement[float]:
        """The moment, by that clock and never in the future, up to which every write is visible.

        Rows that are not committed yet were written after it, on whatever node, however long their commit takes.
        """

    @abstractmethod
    def among(self, column: ColumnElement[str]) -> ColumnElement[bool]:
        """Whether the column is in the list parameter `ids`."""

    @abstractmethod
    def upsert(self, table: Table) -> Insert:
        """An INSERT with ON CONFLICT in this database's dialect."""

    @abstractmethod
    async def _run(self, work: Work[T], *, writes: bool) -> T:
        """Run `work` in one transaction."""

    @abstractmethod
    async def close(self) -> None:
        """Close every connection."""

    async def write(self, work: Work[T], seconds: float = DEADLINE_SECONDS) -> T:
        """Run `work` in a transaction and commit it."""
        async with deadline(seconds):
            return await self._run(work, writes=True)

    async def read(self, work: Work[T]) -> T:
        """Run `work`, which only reads."""
        async with deadline():
            return await self._run(work, writes=False)

    async def migrate(self) -> None:
        """Bring the schema up to date. Nodes that start together take turns."""
        await self.write(self._upgrade, MIGRATION_SECONDS)

    async def ping(self) -> None:
        """Ask the database for one row."""
        await self.read(lambda connection: connection.execute(text("SELECT 1")))

    def _upgrade(self, connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@asynccontextmanager
async def deadline(seconds: float = DEADLINE_SECONDS) -> AsyncIterator[None]:
    """Bound the block in time, and turn every library error into StoreUnavailable."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except (SQLAlchemyError, TimeoutError, OSError, *_DRIVER_ERRORS) as error:
        raise StoreUnavailable(f"The database did not answer as it should: {type(error).__name__}.") from error
