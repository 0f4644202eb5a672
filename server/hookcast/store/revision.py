"""The revision of the database's schema, and the check that its tables are Hookcast's."""

import re
from enum import Enum
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from hookcast.errors import StoreRefused
from hookcast.store.others import objects
from hookcast.store.place import JOBS, check_encoding, check_visible, own_schema, qualified
from hookcast.store.schema import metadata

VERSIONS = "alembic_version"
# What no table can have the same name as.
_OF_ITS_NAME = frozenset({"table", "view", "materialized view", "sequence", "foreign table", "type"})
_OWN_REVISION = re.compile(r"\d{4}(_\w+)?")


class Schema(Enum):
    """The database's schema compared with the newest one this version knows."""

    NONE = "none yet"
    OLD = "older"
    CURRENT = "current"
    NEWER = "newer"  # migrated by a newer version of Hookcast


def check_revision(connection: Connection) -> Schema:
    """Return the schema. Raises StoreRefused unless it can be migrated to the newest."""
    found = schema_of(connection)
    if found is Schema.NEWER:
        raise StoreRefused(
            "The database was migrated by a newer version of Hookcast: install that version, or restore a backup."
        )
    return found


def schema_of(connection: Connection) -> Schema:
    """Return the schema. Raises StoreRefused for an unsuitable encoding, and for tables of another program or user."""
    check_encoding(connection)
    tables = _Tables(connection)
    revision = _revision(connection, tables) if VERSIONS in tables.names else None
    if revision is None:
        names = metadata.tables.keys() | ({VERSIONS} - tables.names)  # ours is empty where a migration was interrupted
        taken = next(
            ((kind, name) for kind, name in objects(connection) if name in names and kind in _OF_ITS_NAME), None
        )
        if taken is not None:
            raise _foreign(taken[1], taken[0])
        return Schema.NONE
    if "request_id" not in tables.columns(JOBS):
        raise _foreign(VERSIONS)
    known = revisions()
    if revision in known:
        return Schema.CURRENT if revision == known[-1] else Schema.OLD
    return Schema.NEWER


def revisions() -> list[str]:
    """Return the revisions that this version knows, in order: the numbers that the migrations' files begin with."""
    files = (Path(__file__).parent / "migrations" / "versions").glob("[0-9]*_*.py")
    return sorted(file.name.partition("_")[0] for file in files)


class _Tables:
    """The names of the tables, views included, and of their columns."""

    def __init__(self, connection: Connection) -> None:
        self._inspector = inspect(connection)
        self._schema = own_schema(connection)
        views = self._inspector.get_view_names(self._schema)
        self.names = {*self._inspector.get_table_names(self._schema), *views}

    def columns(self, table: str) -> set[str]:
        if table not in self.names:
            return set()
        return {column["name"] for column in self._inspector.get_columns(table, self._schema)}


def _revision(connection: Connection, tables: _Tables) -> str | None:
    if "version_num" not in tables.columns(VERSIONS):
        raise _foreign(VERSIONS)
    check_visible(connection, VERSIONS)
    found = connection.execute(text(f"SELECT version_num FROM {qualified(connection, VERSIONS)}")).scalars().all()  # noqa: S608
    if not found:
        return None
    if len(found) > 1 or not _OWN_REVISION.fullmatch(str(found[0])):
        raise _foreign(VERSIONS)
    return str(found[0])


def _foreign(name: str, kind: str = "table") -> StoreRefused:
    return StoreRefused(
        f"The database has a {kind} {name} of another program: give Hookcast a database of its own, or on PostgreSQL a "
        "schema of its own with HOOKCAST_DATABASE_SCHEMA."
    )
