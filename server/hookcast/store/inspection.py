"""Read-only inspection of a database, for operators."""

import os
from enum import Enum
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from msgspec import Struct
from sqlalchemy import Connection, make_url, select

from hookcast.errors import StoreUnavailable
from hookcast.store.base import Database
from hookcast.store.database import open_database


class Schema(Enum):
    """The database's schema compared with the newest one this version knows."""

    NONE = "none yet"
    OLD = "older"
    CURRENT = "current"
    NEWER = "newer"  # migrated by a newer version of Hookcast


class Condition(Struct, frozen=True):
    """The state of a database. `clock` is its own, in unix seconds; None when the database does not exist yet."""

    schema: Schema
    clock: float | None


async def inspect(url: str) -> Condition:
    """Inspect the database, without creating a missing SQLite file. Raises StoreUnavailable."""
    if _to_be_made(url):
        return Condition(Schema.NONE, None)
    database = open_database(url)
    try:
        return await database.read(lambda connection: _condition(database, connection))
    finally:
        await database.close()


def _condition(database: Database, connection: Connection) -> Condition:
    clock = connection.execute(select(database.clock)).scalar_one()
    return Condition(_schema(connection), float(clock))


def _to_be_made(url: str) -> bool:
    parsed = make_url(url)
    file = Path(parsed.database or "")
    if parsed.get_backend_name() != "sqlite" or file.exists():
        return False
    folder = file.absolute().parent
    if not os.access(folder, os.W_OK):
        raise StoreUnavailable(f"There is no folder {folder} that could be written to.")
    return True


def _schema(connection: Connection) -> Schema:
    scripts = ScriptDirectory(str(Path(__file__).parent / "migrations"))
    found = MigrationContext.configure(connection).get_current_revision()
    if found is None:
        return Schema.NONE
    if found == scripts.get_current_head():
        return Schema.CURRENT
    known = {script.revision for script in scripts.walk_revisions()}
    return Schema.OLD if found in known else Schema.NEWER
