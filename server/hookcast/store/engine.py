"""An engine for SQLite or PostgreSQL that commits durably, and the migrations that bring a database up to date."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, Engine, event, make_url, text
from sqlalchemy import create_engine as create_sync_engine
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import await_only

# WAL: readers do not wait for the writer. FULL: an acknowledged webhook survives the loss of power.
_PRAGMAS = ("busy_timeout=4000", "journal_mode=WAL", "synchronous=FULL")
_PAUSES = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)  # seconds
CONNECTIONS = 5
THREADS = 2  # one writes, one reads
WAIT_SECONDS = 4
_MIGRATION_LOCK = 4_826_163_950_127_731  # any number that other programs in the same database do not use
# What other drivers and poolers read from a URL, and asyncpg does not know.
_FOREIGN_WORDS = ("sslmode", "pgbouncer", "connection_limit", "pool_timeout", "schema")


def create_engine(url: str) -> AsyncEngine:
    """An engine for `sqlite:///path` or `postgresql://…`; nothing is opened yet."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed)
    return _postgresql(parsed)


def create_threaded_engine(url: str) -> Engine:
    """An engine on the same SQLite file that is used in threads of its own: a whole transaction is one visit there."""
    engine = create_sync_engine(make_url(url), pool_size=THREADS, max_overflow=0, pool_timeout=WAIT_SECONDS)
    event.listen(engine, "connect", lambda connection, _record: _prepare(connection, time.sleep))
    event.listen(engine, "begin", _on_begin)
    return engine


def upgrade(connection: Connection) -> None:
    """Run the migrations that this database has not seen. Nodes that start together take turns."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _MIGRATION_LOCK})
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _sqlite(url: URL) -> AsyncEngine:
    engine = create_async_engine(
        url.set(drivername="sqlite+aiosqlite"), pool_size=CONNECTIONS, max_overflow=0, pool_timeout=WAIT_SECONDS
    )
    event.listen(engine.sync_engine, "connect", lambda connection, _record: _prepare(connection, _sleep))
    event.listen(engine.sync_engine, "begin", _on_begin)
    return engine


def _postgresql(url: URL) -> AsyncEngine:
    """Works through a pooler in transaction mode: only unnamed prepared statements, no state of a session."""
    arguments: dict[str, Any] = {"timeout": WAIT_SECONDS, "statement_cache_size": 0, "prepared_statement_cache_size": 0}
    if "sslmode" in url.query:
        arguments["ssl"] = url.query["sslmode"]
    return create_async_engine(
        url.set(drivername="postgresql+asyncpg").difference_update_query(_FOREIGN_WORDS),
        connect_args=arguments,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=WAIT_SECONDS,
        pool_recycle=1800,
    )


def _prepare(connection: DBAPIConnection, sleep: Callable[[float], None]) -> None:
    # The driver's own, late BEGIN would let two writers read the same row first; see _on_begin.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        _set(cursor, pragma, sleep)
    cursor.close()


def _sleep(seconds: float) -> None:
    await_only(asyncio.sleep(seconds))


def _set(cursor: DBAPICursor, pragma: str, sleep: Callable[[float], None]) -> None:
    """A pragma, tried again for a while: SQLite does not wait for others, whatever busy_timeout, to make a file WAL."""
    for pause in (*_PAUSES, None):
        try:
            cursor.execute(f"PRAGMA {pragma}")
        except sqlite3.OperationalError as error:
            if pause is None or error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            sleep(pause)
        else:
            return


def _on_begin(connection: Connection) -> None:
    """A writer takes the lock before it reads, so that what it read still holds when it writes."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


VALUE_ERRORS = (DataError, IntegrityError, UnicodeError, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
"""Errors of one row's values, not of the database; somewhere in the chain of causes."""

DRIVER_ERRORS = (
    UnicodeError,
    sqlite3.Error,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncio.IncompleteReadError,
)
"""What may escape SQLAlchemy's own tree while a connection is opened or closed."""
