"""Transactions with a deadline on SQLite or PostgreSQL; every library error becomes StoreUnavailable.

Work is a plain function of a SQLAlchemy `Connection`. SQLite runs it in a thread, PostgreSQL in SQLAlchemy's greenlet
bridge to asyncpg. Either way, a whole transaction is one call.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Select, Table, UpdateBase, select, true
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.types import TypeEngine

from hookcast.errors import StoreUnavailable
from hookcast.store.faults import library_errors, unavailable
from hookcast.store.health import Health
from hookcast.store.revision import Schema, check_revision
from hookcast.store.schema import leases

T = TypeVar("T")
Row = Mapping[Any, Any]  # values by the names of columns
Work = Callable[[Connection], T]
Given = Mapping[str, ColumnElement[Any]]
"""The columns of a row of values, by name."""
Rows = Sequence[Sequence[Any]]

DEADLINE_SECONDS = 5.0
MIGRATION_SECONDS = 300.0
REWRITE_SECONDS = 3600.0
MAX_OPEN_SECONDS = 600
WAIT_SECONDS = 4  # for a free connection or a lock
RETRY_SECONDS = 1.0  # between probes while the database fails
PROBE = "probe"  # the lease that a probe writes


class ForEach:
    """A statement for each of many rows of values: `Database.for_each`. `columns` are the types of a row's values.

    `make` returns the statement, in which the given columns stand for the values. It is called once for a database,
    and a statement returns something only where there are several writers.
    """

    def __init__(self, columns: Mapping[str, TypeEngine[Any]], make: Callable[["Database", Given], UpdateBase]) -> None:
        self.columns = columns
        self.make = make
        # A parameter of an UPDATE must not have the name of a column.
        self.parameters = {f"given_{name}": kind for name, kind in columns.items()}


class ForTables:
    """A statement for the rows of several tables: `Database.at_once`. `tables` are the types of their columns.

    `make` returns the statement for the given columns of some of the tables. A SELECT writes by its CTEs.
    """

    def __init__(
        self,
        tables: Mapping[str, Mapping[str, TypeEngine[Any]]],
        make: Callable[["Database", Mapping[str, Given]], Select[Any]],
    ) -> None:
        self.tables = tables
        self.make = make


WriteTables = Callable[[ForTables, Mapping[str, Rows]], Sequence[Any]]
"""Executes the statement for the rows of these tables, and returns the scalars that it returns."""


class LookUp(Generic[T]):
    """A query of rows by their ids: these columns, of the rows whose `key` is one of the ids.

    `make` makes the result of a row, where the columns have their names.
    """

    def __init__(self, columns: Sequence[ColumnElement[Any]], key: Column[str], make: Callable[[Row], T]) -> None:
        self.columns = columns
        self.key = key
        self.make = make


class Database(ABC):
    """A database. Its methods raise StoreUnavailable and nothing else."""

    one_writer: bool
    """True when the database serializes writers, so that a write never loses a race."""

    def __init__(self) -> None:
        self.health = Health()
        self._look_ups: dict[LookUp[Any], Select[Any]] = {}

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

    def check_writable(self, connection: Connection) -> None:  # noqa: B027 - a file has no other server
        """Raise StoreUnavailable on a server that takes no writes: a former primary answers reads from the past."""

    @abstractmethod
    def among(self, column: ColumnElement[str]) -> ColumnElement[bool]:
        """Return the condition that `column` is in the list parameter `ids`."""

    @abstractmethod
    def of_each(self, column: Column[str], names: Iterable[str], rows: Select[Any]) -> Select[Any]:
        """Return the rows that `rows`, which has a limit, selects for each value of `column` in `names`."""

    @abstractmethod
    def octets(self, column: ColumnElement[Any]) -> ColumnElement[int]:
        """Return the size of a text column in bytes; NULL for NULL."""

    def is_time(self, column: ColumnElement[Any]) -> ColumnElement[bool]:  # noqa: ARG002 - PostgreSQL has types
        """Return the condition that a column of times has a readable one: a listing can go on behind it."""
        return true()

    @abstractmethod
    def upsert(self, table: Table) -> Insert:
        """Return an INSERT with ON CONFLICT in this database's dialect."""

    @abstractmethod
    def for_each(self, connection: Connection, statement: ForEach, rows: Sequence[Sequence[Any]]) -> Sequence[Any]:
        """Execute a statement for each of the rows (at least one), and return the scalars that it returns."""

    @abstractmethod
    async def _run(self, work: Work[T], *, writes: bool) -> T:
        """Run `work` in one transaction."""

    @abstractmethod
    async def close(self) -> None:
        """Close every connection."""

    async def write(self, work: Work[T], seconds: float | None = None) -> T:
        """Run `work` in a transaction and commit it within `seconds`; None = DEADLINE_SECONDS."""
        return await self._watched(self._run(work, writes=True), writes=True, seconds=seconds)

    async def read(self, work: Work[T]) -> T:
        """Run `work`, which must only read."""
        return await self._watched(self._run(work, writes=False), writes=False)

    async def at_once(  # SQLite's transactions take no round trips
        self,
        work: Callable[[Connection, WriteTables], T],  # noqa: ARG002
    ) -> T | None:
        """Run `work`, each of whose statements is a transaction of its own.

        Return None, and run nothing, where statements must share a transaction, or gain nothing without one.
        """
        return None

    async def look_up(self, query: LookUp[T], ids: Sequence[str]) -> list[T]:
        """Return what the query makes of the rows with these ids."""
        statement = self._look_ups.get(query)
        if statement is None:  # built once: each statement has reference cycles
            statement = self._look_ups[query] = select(*query.columns).where(self.among(query.key))

        def work(connection: Connection) -> list[T]:
            return [query.make(row) for row in connection.execute(statement, {"ids": ids}).mappings()]

        return await self.read(work)

    async def shrink(self, seconds: float) -> bool:  # noqa: ARG002 - PostgreSQL's autovacuum does it
        """Return unused space to the file system, holding the writer for `seconds`; return whether there is more."""
        return False

    async def settle(self) -> None:  # noqa: B027 - PostgreSQL needs nothing
        """Do the maintenance that large writes require, without holding the writer."""

    async def rewrite(self) -> None:  # noqa: B027 - PostgreSQL's autovacuum needs no help
        """Rewrite the file without unused space and able to shrink; nothing else can write meanwhile."""

    async def _watched(self, running: Awaitable[T], *, writes: bool, seconds: float | None = None) -> T:
        try:
            async with deadline(seconds or DEADLINE_SECONDS):
                found = await running
        except StoreUnavailable as error:
            self._failed(error)
            raise
        self.health.worked(wrote=writes)
        return found

    def _failed(self, error: StoreUnavailable) -> None:
        """Note a failed transaction."""
        self.health.failed(error)

    async def migrate(self, seconds: float = MIGRATION_SECONDS) -> None:
        """Migrate to the newest schema. Nodes that start together migrate one at a time.

        Raises StoreRefused for a database that is not Hookcast's, or of a newer version.
        """
        async with deadline(seconds):
            await self._run(self._migrate, writes=True)

    async def probe(self) -> None:
        """Commit a small write, and use a little space on the disk."""
        lease = self.upsert(leases).values(name=PROBE, owner="", until=self.clock)
        touch = lease.on_conflict_do_update(index_elements=["name"], set_={"until": lease.excluded.until})

        def work(connection: Connection) -> None:
            connection.execute(touch)
            self._allocate(connection)

        await self.write(work)

    @abstractmethod
    def _allocate(self, connection: Connection) -> None:
        """Use a little space on the disk, and free it: a write may fit into space that the files have already."""

    async def watch(self) -> None:
        """While the database fails, probe it until it works, so that an idle node notices, too."""
        while True:
            await self.health.troubled.wait()
            await asyncio.sleep(RETRY_SECONDS)
            with suppress(StoreUnavailable):
                await self.probe()

    def _migrate(self, connection: Connection) -> None:
        self._await_turn(connection)
        found = check_revision(connection)
        self._before_migration(connection, found)
        if found is not Schema.CURRENT:
            _upgrade(connection)
        self._after_migration(connection)

    @abstractmethod
    def _await_turn(self, connection: Connection) -> None:
        """Wait for the nodes that migrate at the same time."""

    def _before_migration(self, connection: Connection, found: Schema) -> None:  # noqa: B027 - a file needs nothing
        """Prepare the place of the tables, in the transaction of the migration."""

    def _after_migration(self, connection: Connection) -> None:  # noqa: B027 - a file needs nothing
        """Protect the tables, in the transaction of the migration."""


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - a sixth of the start-up time, mostly for nothing
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def late() -> StoreUnavailable:
    """Return the error of what has not been done by its deadline."""
    return unavailable(TimeoutError())


@asynccontextmanager
async def deadline(seconds: float | None = None) -> AsyncIterator[None]:
    """Limit the block's duration (None = DEADLINE_SECONDS), and turn every library error into StoreUnavailable."""
    try:
        async with asyncio.timeout(seconds or DEADLINE_SECONDS):
            yield
    except library_errors() as error:
        raise unavailable(error) from error
