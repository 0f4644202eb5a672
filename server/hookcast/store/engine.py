"""A SQLite engine that commits durably, and the migrations that bring a database up to date."""

import sqlite3
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

# WAL: readers do not wait for the writer. FULL: an acknowledged webhook survives the loss of power.
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=4000")
READERS = 4


def create_engine(url: str) -> AsyncEngine:
    """An engine for `sqlite:///path`; nothing is opened yet."""
    engine = create_async_engine(
        make_url(url).set(drivername="sqlite+aiosqlite"), pool_size=READERS + 1, max_overflow=0, pool_timeout=4
    )
    event.listen(engine.sync_engine, "connect", _on_connect)
    event.listen(engine.sync_engine, "begin", _on_begin)
    return engine


def upgrade(connection: Connection) -> None:
    """Run the migrations that this database has not seen."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _on_connect(connection: DBAPIConnection, _record: object) -> None:
    # The driver's own, late BEGIN would let two writers read the same row first; see _on_begin.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _on_begin(connection: Connection) -> None:
    """A writer takes the lock before it reads, so that what it read still holds when it writes."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


DRIVER_ERRORS = (sqlite3.Error,)
"""What may escape SQLAlchemy's own tree while a connection is opened or closed."""
