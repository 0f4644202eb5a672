"""Inspection of a database, for operators."""

from pathlib import Path

from msgspec import Struct
from sqlalchemy import Connection, make_url, select

from hookcast.postgres_url import SCHEMA
from hookcast.store import moving, place
from hookcast.store.base import Database
from hookcast.store.database import open_database
from hookcast.store.others import objects, shown
from hookcast.store.revision import VERSIONS, Schema, schema_of
from hookcast.store.room import check_file, free_bytes


class Condition(Struct, frozen=True):
    """The state of a database. `clock` is its own, in unix seconds; None when the database does not exist yet.

    `others` names what other programs have in the place of its tables, while these are not there.
    `earlier` is the schema of PostgreSQL that has tables of an earlier version, if there is one.
    """

    schema: Schema
    clock: float | None
    earlier: str | None = None
    others: str = ""


async def inspect(url: str, schema: str = SCHEMA) -> Condition:
    """Inspect the database, without creating a missing SQLite file; a current one is written to, as `/readyz` does.

    Raises StoreUnavailable.
    """
    file = _file_of(url)
    if file is not None:
        check_file(file)
        if not file.exists():
            return Condition(Schema.NONE, None)
    database = open_database(url, schema)
    try:
        condition = await database.read(lambda connection: _condition(database, connection))
        if condition.schema is Schema.CURRENT:
            await database.probe()
        return condition
    finally:
        await database.close()


def room(url: str) -> int | None:
    """Return the bytes that are free in the folder of a SQLite file; None for PostgreSQL, or without a folder."""
    file = _file_of(url)
    try:
        return None if file is None else free_bytes(file)
    except OSError:
        return None


def _file_of(url: str) -> Path | None:
    return Path(make_url(url).database or "") if url.startswith("sqlite") else None


def _condition(database: Database, connection: Connection) -> Condition:
    clock = connection.execute(select(database.clock)).scalar_one()
    found = schema_of(connection)
    earlier = None if place.own_schema(connection) is None else _earlier(connection, found)
    others = [] if found is not Schema.NONE else [each for each in objects(connection) if each[1] != VERSIONS]
    return Condition(found, float(clock), earlier, shown(others))


def _earlier(connection: Connection, found: Schema) -> str | None:
    """Return the schema with tables of an earlier version. Raises StoreRefused as a migration would."""
    earlier = moving.earlier(connection)
    if found is Schema.NONE:
        place.check_rights(connection)
        if earlier is not None:
            moving.check_owner(connection, earlier)
    return earlier
