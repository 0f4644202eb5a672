"""A PostgreSQL database set up as Supabase sets up its own: roles, default privileges, `auth.uid()`.

Hookcast connects as `postgres`, which is no superuser there. Supabase's default privileges concern the schema public;
here they hold in every schema, so that nothing depends on the name of Hookcast's.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from support.postgres import Postgres

CALLERS = ("anon", "authenticated", "service_role")  # PostgREST and Realtime become these
_ROLES = (
    *(f"CREATE ROLE {name} NOLOGIN{' BYPASSRLS' if name == 'service_role' else ''}" for name in CALLERS),
    "CREATE ROLE authenticator NOINHERIT LOGIN",
    "CREATE ROLE postgres LOGIN CREATEDB CREATEROLE BYPASSRLS",
    *(f"GRANT {name} TO authenticator, postgres" for name in CALLERS),
)
_EVERYONE = ", ".join(CALLERS)
_CLAIM = "(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid"
_DATABASE = (
    "ALTER SCHEMA public OWNER TO postgres",
    f"GRANT USAGE ON SCHEMA public TO {_EVERYONE}",
    *(
        f"ALTER DEFAULT PRIVILEGES FOR ROLE postgres{place} GRANT ALL ON {kind} TO {_EVERYONE}"
        for place in (" IN SCHEMA public", "")
        for kind in ("TABLES", "SEQUENCES", "FUNCTIONS")
    ),
    f"ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT USAGE ON SCHEMAS TO {_EVERYONE}",
    "CREATE SCHEMA auth",
    f"GRANT USAGE ON SCHEMA auth TO postgres, {_EVERYONE}",
    f"CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT {_CLAIM} $$",
    "CREATE TABLE auth.users (id uuid PRIMARY KEY, email text)",
    f"GRANT SELECT ON auth.users TO postgres, {_EVERYONE}",
    "GRANT INSERT, REFERENCES ON auth.users TO postgres",
    "CREATE PUBLICATION supabase_realtime",
    "ALTER PUBLICATION supabase_realtime OWNER TO postgres",
)


@contextmanager
def supabase_roles(server: Postgres) -> Iterator[None]:
    """Make the roles, which all databases of a server share, for the block."""
    server.sql(*_ROLES)
    yield
    server.sql(f"DROP ROLE authenticator, postgres, {_EVERYONE}")


@contextmanager
def supabase_database(server: Postgres) -> Iterator[str]:
    """Make a database for the block, and yield its URL for the user `postgres`."""
    name = f"supabase_{uuid.uuid4().hex}"
    server.sql(f"CREATE DATABASE {name} OWNER postgres")
    server.sql(*_DATABASE, database=name)
    yield server.url(name).replace("hookcast@", "postgres@")
    server.drop(name)
