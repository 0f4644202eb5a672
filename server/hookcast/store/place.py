"""The schema of PostgreSQL that holds Hookcast's tables: its creation, and who may use what is in it.

The store's statements name no schema. SQLAlchemy adds it to each table (`schema_translate_map`), so that nothing
depends on the search path of a session, which a pooler may share. On SQLite there is no schema.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

from hookcast.errors import StoreRefused

_RIGHTS = text(
    "SELECT n.oid IS NOT NULL AS made, CASE WHEN n.oid IS NULL "
    "THEN has_database_privilege(current_database(), 'CREATE') "
    "ELSE has_schema_privilege(n.oid, 'CREATE') AND has_schema_privilege(n.oid, 'USAGE') END AS may, "
    "quote_ident(current_user) AS me, quote_ident(current_database()) AS database "
    "FROM (SELECT 1) AS one LEFT JOIN pg_namespace AS n ON n.nspname = :schema"
)
_WITHOUT_SECURITY = text(
    "SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
    "WHERE n.nspname = :schema AND c.relname = ANY(:names) AND c.relkind IN ('r', 'p') AND NOT c.relrowsecurity "
    "ORDER BY c.relname"
)
_HIDDEN = text(
    "SELECT quote_ident(pg_get_userbyid(relowner)) AS owner, quote_ident(current_user) AS me FROM pg_class "
    "WHERE oid = to_regclass(:name) AND row_security_active(oid)"
)
_SEQUENCES = text(
    "SELECT CAST(CAST(d.objid AS regclass) AS text) FROM pg_depend AS d JOIN pg_class AS c ON c.oid = d.objid "
    "WHERE d.refobjid = CAST(CAST(:name AS text) AS regclass) AND c.relkind = 'S' ORDER BY 1"
)
_LISTS: Mapping[str, str] = {  # owner and access control list of an object, by the word that REVOKE uses for its kind
    "TABLE": "SELECT relowner, relacl FROM pg_class WHERE oid = CAST(CAST(:name AS text) AS regclass) UNION ALL "
    "SELECT c.relowner, a.attacl FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid "
    "WHERE c.oid = CAST(CAST(:name AS text) AS regclass)",
    "SEQUENCE": "SELECT relowner, relacl FROM pg_class WHERE oid = CAST(CAST(:name AS text) AS regclass)",
    "FUNCTION": "SELECT proowner, coalesce(proacl, acldefault('f', proowner)) FROM pg_proc "
    "WHERE oid = CAST(CAST(:name AS text) AS regprocedure)",
    "SCHEMA": "SELECT nspowner, nspacl FROM pg_namespace WHERE oid = CAST(CAST(:name AS text) AS regnamespace)",
}
_OTHERS = (
    "SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END "
    "FROM ({lists}) AS o(owner, acl) CROSS JOIN LATERAL aclexplode(o.acl) AS a "
    "WHERE a.grantee NOT IN (o.owner, CAST(quote_ident(current_user) AS regrole)) ORDER BY 1"
)
JOBS = "jobs"
_ENCODINGS = ("UTF8", "SQL_ASCII")  # the latter stores bytes as they come


def own_schema(connection: Connection) -> str | None:
    """Return the schema that the store's statements use; None on SQLite."""
    found: str | None = connection.get_execution_options().get("schema_translate_map", {}).get(None)
    return found


def qualified(connection: Connection, name: str, schema: str | None = None) -> str:
    """Return the name of a table as SQL, in this schema or the store's own."""
    quote = connection.dialect.identifier_preparer.quote
    schema = schema or own_schema(connection)
    return quote(name) if schema is None else f"{quote(schema)}.{quote(name)}"


def check_rights(connection: Connection) -> bool:
    """Return whether the schema exists. Raises StoreRefused when the user may not create it, or tables in it."""
    schema = own_schema(connection)
    rights = connection.execute(_RIGHTS, {"schema": schema}).mappings().one()
    if not rights["may"]:
        raise _refused(schema, rights)
    return bool(rights["made"])


def _refused(schema: str | None, rights: Mapping[Any, Any]) -> StoreRefused:
    me, database = rights["me"], rights["database"]
    if rights["made"]:
        problem = f"The user {me} may not create tables in the schema {schema}"
        remedy = f"GRANT CREATE, USAGE ON SCHEMA {schema} TO {me};"
    else:
        problem = f"The user {me} may not create the schema {schema}"
        remedy = f"CREATE SCHEMA {schema} AUTHORIZATION {me};"
    return StoreRefused(
        "The database cannot be used.",
        reason=f"{problem}: run {remedy} as an administrator of the database {database}.",
    )


def check_encoding(connection: Connection) -> None:
    """Raise StoreRefused unless the database can store every text."""
    if own_schema(connection) is None:
        return
    encoding = connection.execute(text("SELECT current_setting('server_encoding')")).scalar_one()
    if encoding not in _ENCODINGS:
        raise StoreRefused(
            "The database cannot be used.",
            reason=f"The database's encoding is {encoding}, which cannot store every text: create another one with "
            "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0;",
        )


def check_visible(connection: Connection, table: str) -> None:
    """Raise StoreRefused when row level security hides the table's rows from the user, which does not own it."""
    if own_schema(connection) is None:
        return
    found = connection.execute(_HIDDEN, {"name": qualified(connection, table)}).mappings().first()
    if found is not None:
        raise StoreRefused(
            "The database cannot be used.",
            reason=f"Row level security hides every row from the user {found['me']}: use the owner of the tables, "
            f"{found['owner']}, in HOOKCAST_DATABASE_URL, or run GRANT {found['owner']} TO {found['me']};",
        )


def make(connection: Connection) -> None:
    """Create the schema unless it exists. Raises StoreRefused as `check_rights` does."""
    if not check_rights(connection):
        connection.execute(text(f"CREATE SCHEMA {_quoted(connection)}"))


def enter(connection: Connection) -> None:
    """Make the schema the search path of migrations, until the transaction ends."""
    connection.execute(text(f"SET LOCAL search_path TO {_quoted(connection)}"))


def close(connection: Connection, names: list[str]) -> None:
    """Turn row level security on for each of these tables that lacks it, and take it from all roles but its owner.

    What is granted later stays. The owner is exempt from row level security; without a policy all others see nothing.
    """
    schema = own_schema(connection)
    found = connection.execute(_WITHOUT_SECURITY, {"schema": schema, "names": names}).scalars().all()
    for name in found:
        table = qualified(connection, name)
        connection.execute(text(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"))
        revoke(connection, "TABLE", table)
        for sequence in connection.execute(_SEQUENCES, {"name": table}).scalars().all():
            revoke(connection, "SEQUENCE", sequence)
    if JOBS in found:
        revoke(connection, "SCHEMA", _quoted(connection))


def revoke(connection: Connection, kind: str, name: str) -> None:
    """Take all rights on an object from all roles but its owner.

    `kind` is TABLE (also a view), SEQUENCE, FUNCTION or SCHEMA. Default privileges may have granted them when the
    object was made.
    """
    others = connection.execute(text(_OTHERS.format(lists=_LISTS[kind])), {"name": name}).scalars().all()
    if others:
        connection.execute(text(f"REVOKE ALL ON {kind} {name} FROM {', '.join(others)} CASCADE"))


def _quoted(connection: Connection) -> str:
    return connection.dialect.identifier_preparer.quote(own_schema(connection) or "")
