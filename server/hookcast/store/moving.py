"""Moves the tables of an earlier version into the schema: before revision 0013 the search path said where they were."""

from collections.abc import Mapping

from sqlalchemy import Connection, text

from hookcast.errors import StoreRefused
from hookcast.logs import get_logger
from hookcast.store.place import own_schema, qualified

FIRST = "0013"  # the first revision whose tables are where HOOKCAST_DATABASE_SCHEMA says
_VERSIONS = "alembic_version"
# The revisions that have each table: another program's table may have the name of one that a later revision adds.
_AT: Mapping[str, tuple[str, str]] = {
    _VERSIONS: ("0001", FIRST),
    "jobs": ("0001", FIRST),
    "fal_keys": ("0001", FIRST),
    "idempotency_keys": ("0001", "0009"),
    "leases": ("0004", FIRST),
    "deployment": ("0007", FIRST),
    "submits": ("0009", FIRST),
    "work": ("0011", FIRST),
}
_MARKS: Mapping[str, set[str]] = {  # columns that only Hookcast's tables have, at every revision
    _VERSIONS: {"version_num"},
    "jobs": {"request_id", "status", "version", "endpoint_id", "phase", "queue_position", "logs", "metadata"},
    "fal_keys": {"url", "document", "fetched_at"},
}
_BEFORE = text(  # where an earlier version would have made its tables
    "SELECT place.name FROM unnest(current_schemas(false)) WITH ORDINALITY AS place(name, number) "
    "WHERE place.name <> :own ORDER BY place.number LIMIT 1"
)
_COLUMNS = text(
    "SELECT c.relname, array_agg(a.attname::text), bool_and(has_table_privilege(c.oid, 'SELECT')) FROM pg_class AS c "
    "JOIN pg_namespace AS n ON n.oid = c.relnamespace "
    "JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
    "WHERE n.nspname = :place AND c.relkind = 'r' AND c.relname = ANY(:names) GROUP BY c.relname"
)
_OWNERS = text(
    "SELECT DISTINCT quote_ident(pg_get_userbyid(c.relowner)) FROM pg_class AS c "
    "JOIN pg_namespace AS n ON n.oid = c.relnamespace "
    "WHERE n.nspname = :place AND c.relname = ANY(:names) AND NOT pg_has_role(c.relowner, 'USAGE') ORDER BY 1"
)
_log = get_logger(__name__)


def earlier(connection: Connection) -> str | None:
    """Return the schema in which an earlier version made its tables with this URL; None if none is there."""
    place: str | None = connection.execute(_BEFORE, {"own": own_schema(connection)}).scalar()
    return place if place is not None and _tables(connection, place) else None


def check_owner(connection: Connection, place: str) -> None:
    """Raise StoreRefused unless the user may move the tables out of `place`."""
    names = {"place": place, "names": _tables(connection, place)}
    owner = connection.execute(_OWNERS, names).scalar()
    if owner is not None:
        raise StoreRefused(
            "The database cannot be used.",
            reason=f"The tables of an earlier version in the schema {place} belong to the user {owner}: run "
            f"`hookcast migrate` once as {owner}, or make them belong to the user of HOOKCAST_DATABASE_URL.",
        )


def move(connection: Connection) -> None:
    """Move the tables of an earlier version, if there are any, with their indexes, rows and policies.

    Raises StoreRefused when they belong to another user.
    """
    place = earlier(connection)
    if place is None:
        return
    check_owner(connection, place)
    schema = connection.dialect.identifier_preparer.quote(own_schema(connection) or "")
    for name in _tables(connection, place):
        connection.execute(text(f"ALTER TABLE {qualified(connection, name, place)} SET SCHEMA {schema}"))
    _log.info("tables_moved", to=own_schema(connection), **{"from": place})


def _tables(connection: Connection, place: str) -> list[str]:
    """Return Hookcast's tables in this schema. Another program's are not read, nor those that the user may not read."""
    rows = connection.execute(_COLUMNS, {"place": place, "names": list(_AT)}).all()
    columns = {name: set(of_table) for name, of_table, _ in rows}
    if not all(marks <= columns.get(name, set()) for name, marks in _MARKS.items()):
        return []
    if not next(readable for name, _, readable in rows if name == _VERSIONS):
        return sorted(columns)
    revision = _revision(connection, place)
    if not (revision.isdigit() and len(revision) == len(FIRST)):
        return []
    return [name for name, (since, until) in _AT.items() if name in columns and since <= revision < until]


def _revision(connection: Connection, place: str) -> str:
    versions = qualified(connection, _VERSIONS, place)
    found = connection.execute(text(f"SELECT version_num FROM {versions}")).scalars().all()  # noqa: S608
    return str(found[0]) if len(found) == 1 else ""
