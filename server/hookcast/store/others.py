"""What other programs have in the place of Hookcast's tables: objects of any kind, not only tables."""

from sqlalchemy import Connection, text

from hookcast.store.place import own_schema

SHOWN = 5
_SQLITE = text(
    "SELECT type, name FROM sqlite_master WHERE type IN ('table', 'view', 'trigger') AND name NOT LIKE 'sqlite\\_%' "
    "ESCAPE '\\' ORDER BY type, name"
)
# Not what belongs to another object: the index, the row type and the sequence of a table.
_POSTGRESQL = text(
    "SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' "
    "WHEN 'f' THEN 'foreign table' WHEN 'c' THEN 'type' ELSE 'table' END, c.relname FROM pg_class AS c "
    "JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = :schema AND c.relkind IN "
    "('r', 'p', 'v', 'm', 'S', 'f', 'c') AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = c.oid "
    "AND d.classid = CAST('pg_class' AS regclass) AND d.deptype IN ('a', 'i') AND c.relkind = 'S') "
    "UNION ALL SELECT CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END, "
    "p.proname FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE n.nspname = :schema "
    "UNION ALL SELECT 'type', t.typname FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace "
    "WHERE n.nspname = :schema AND t.typtype IN ('d', 'e', 'r') ORDER BY 1, 2"
)


def objects(connection: Connection) -> list[tuple[str, str]]:
    """Return kind and name of each object in the schema, in a SQLite file of all."""
    schema = own_schema(connection)
    found = connection.execute(_SQLITE) if schema is None else connection.execute(_POSTGRESQL, {"schema": schema})
    return [(kind, name) for kind, name in found]


def shown(found: list[tuple[str, str]]) -> str:
    """Return the first of these objects as words: `view reports, function total and 3 more`; empty if there is none."""
    words = ", ".join(f"{kind} {name}" for kind, name in found[:SHOWN])
    return words + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "")
