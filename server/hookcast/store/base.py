"""Transactions with a deadline on SQLite or PostgreSQL; every library error becomes StoreUnavailable.

Work is a plain function of a SQLAlchemy `Connection`. SQLite runs it in a thread, PostgreSQL in SQLAlchemy's greenlet
bridge to asyncpg. Either way, a whole transaction is one call.
"""

import asyncio
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Column, ColumnElement, Connection, Select, Table, text
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from hookcast.errors import StoreUnavailable

T = TypeVar("T")
Work = Callable[[Connection], T]

DEADLINE_SECONDS = 5.0
MIGRATION_SECONDS = 300.0
REWRITE_SECONDS = 3600.0
MAX_OPEN_SECONDS = 600
WAIT_SECONDS = 4  # for a free connection or a lock

VALUE_ERRORS = (
    DataError,
    IntegrityError,
    UnicodeError,
    OverflowError,  # sqlite3's, of an integer beyond 64 bits
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
)
"""Errors caused by one row's values, not by the database; found anywhere in the `__cause__` chain."""

_DRIVER_ERRORS = (  # may escape SQLAlchemy's own errors while a connection is opened or closed
    UnicodeError,
    OverflowError,
    sqlite3.Error,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncio.IncompleteReadError,
)


class Database(ABC):
    """A database. Its methods raise StoreUnavailable and nothing else."""

    one_writer: bool
    """True when the database serializes writers, so that a write never loses a race."""

    @property
    @abstractmethod
    def clock(self) -> ColumnElement[float]:
        """The database's own clock in unix seconds, the same for every node."""

    @property
    @abstractmethod
    def horizon(self) -> ColumnElement[float]:
        """The time by `clock`, never in the future, up to which every write is visible.

        Rows not committed yet, on any node, were written after it, however long their commit takes.
        """

    @abstractmethod
    def among(self, column: ColumnElement[str]) -> ColumnElement[bool]:
        """Return the condition that `column` is in the list parameter `ids`."""

    @abstractmethod
    def of_each(self, column: Column[str], names: Iterable[str], rows: Select[Any]) -> Select[Any]:
        """Return the selection of what `rows`, which has a limit, finds for each value of `column` in `names`."""

    @abstractmethod
    def octets(self, column: ColumnElement[Any]) -> ColumnElement[int]:
        """Return the size of a text column in bytes; NULL for NULL."""

    @abstractmethod
    def upsert(self, table: Table) -> Insert:
        """Return an INSERT with ON CONFLICT in this database's dialect."""

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
        """Run `work`, which must only read."""
        async with deadline():
            return await self._run(work, writes=False)

    async def shrink(self, seconds: float) -> bool:  # noqa: ARG002 - PostgreSQL's autovacuum does it
        """Return unused space to the file system, holding the writer for `seconds`; return whether there is more."""
        return False

    async def settle(self) -> None:  # noqa: B027 - PostgreSQL needs nothing
        """Do what large writes leave to be done, without holding the writer."""

    async def rewrite(self) -> None:  # noqa: B027 - PostgreSQL's autovacuum needs no help
        """Write the file anew, without unused space and able to shrink; nothing else can write meanwhile."""

    async def migrate(self) -> None:
        """Migrate to the newest schema. Nodes that start together migrate one at a time."""
        await self.write(self._upgrade, MIGRATION_SECONDS)

    async def ping(self) -> None:
        """Run `SELECT 1`."""
        await self.read(lambda connection: connection.execute(text("SELECT 1")))

    def _upgrade(self, connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@asynccontextmanager
async def deadline(seconds: float = DEADLINE_SECONDS) -> AsyncIterator[None]:
    """Limit the block's duration, and turn every library error into StoreUnavailable."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except (SQLAlchemyError, TimeoutError, OSError, *_DRIVER_ERRORS) as error:
        raise StoreUnavailable(f"The database did not answer as it should: {type(error).__name__}.") from error
