"""Hookcast's schema beside Supabase's roles and default privileges: nobody else reads or writes anything in it."""

import json
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from msgspec import Raw

from hookcast.bus import LocalBus
from hookcast.dispatcher import Dispatcher
from hookcast.jobs import Completed, Registered
from hookcast.store import inspect, open_store
from hookcast.store.revision import VERSIONS
from hookcast.store.schema import metadata
from support.older import make_older
from support.postgres import Postgres
from support.supabase import CALLERS, supabase_database, supabase_roles

pytestmark = pytest.mark.anyio
TABLES = (*metadata.tables, VERSIONS)
RELATIONS = (*TABLES, "jobs_json")
VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
ATTEMPTS = (
    "SELECT FROM hookcast.{}",
    "INSERT INTO hookcast.{} DEFAULT VALUES",
    "UPDATE hookcast.{} SET {} = NULL",
    "DELETE FROM hookcast.{}",
)
PAGE = (Path(__file__).parents[2] / "docs" / "supabase.md").read_text()
GRANTS = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
JOIN = re.findall(r"```\n(SELECT .*?)```", PAGE, re.DOTALL)
ANN, BOB = uuid.uuid4(), uuid.uuid4()
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def supabase(postgres: Postgres) -> Iterator[Postgres]:
    """The server with Supabase's roles."""
    with supabase_roles(postgres):
        yield postgres


@pytest.fixture
def url(supabase: Postgres) -> Iterator[str]:
    """The URL of an empty database for Supabase's user `postgres`."""
    with supabase_database(supabase) as found:
        yield found


@pytest.fixture
async def owner(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of `postgres` to a database that Hookcast has migrated."""
    async with open_store(url):
        pass
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


@asynccontextmanager
async def acting_as(connection: asyncpg.Connection, role: str, user: uuid.UUID | None = None) -> AsyncIterator[None]:
    """Act as a role, as PostgREST does for a request with the token of `user`; roll back at the end."""
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(f"SET LOCAL ROLE {role}")
    await connection.execute(
        "SELECT set_config('request.jwt.claims', $1, true)", json.dumps({} if user is None else {"sub": str(user)})
    )
    try:
        yield
    finally:
        await transaction.rollback()


async def fill(url: str) -> None:
    """One job of Ann's, one of Bob's and one of nobody's; Ann's has a result that jsonb refuses."""
    async with open_store(url) as store:
        dispatcher = Dispatcher(store, LocalBus(lambda _: None), lambda: NOW)
        await dispatcher.apply("of-ann", Registered(owner=str(ANN), metadata={"node": Raw(b'"n-1"')}))
        await dispatcher.apply("of-ann", Completed(result=Raw(rb'{"text": "\u0000"}')), "webhook")
        await dispatcher.apply("of-bob", Registered(owner=str(BOB)))
        await dispatcher.apply("of-bob", Completed(result=Raw(b'{"images": [{"url": "https://x/1.png"}]}')), "webhook")
        await dispatcher.apply("of-nobody", Registered(owner="user-1", retry_of="of-bob"))


async def rights(connection: asyncpg.Connection) -> set[tuple[str, str, str]]:
    """Return who may do what with which relation or function of the schema, its owner left out; PUBLIC as such."""
    rows = await connection.fetch(
        "WITH named AS (SELECT oid FROM pg_namespace WHERE nspname = 'hookcast'), objects AS ("
        "SELECT relname::text AS name, relowner AS owner, relacl AS acl FROM pg_class "
        "WHERE relnamespace IN (TABLE named) UNION ALL "
        "SELECT attname, relowner, attacl FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid "
        "WHERE relnamespace IN (TABLE named) "
        "UNION ALL SELECT proname, proowner, coalesce(proacl, acldefault('f', proowner)) FROM pg_proc "
        "WHERE pronamespace IN (TABLE named) "
        "UNION ALL SELECT nspname, nspowner, nspacl FROM pg_namespace WHERE nspname = 'hookcast') "
        "SELECT name, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee)::text END, privilege_type "
        "FROM objects CROSS JOIN LATERAL aclexplode(acl) WHERE grantee <> owner"
    )
    return {tuple(row) for row in rows}


async def test_nothing_is_granted_to_other_roles(owner: asyncpg.Connection) -> None:
    """Neither on the schema, nor on what is in it, though the default privileges grant everything everywhere."""
    assert await rights(owner) == set()
    await owner.execute("CREATE TABLE hookcast.other (x integer)")
    assert ("other", "anon", "SELECT") in await rights(owner)  # they do


@pytest.mark.parametrize("role", CALLERS)
async def test_other_roles_have_no_right_to_any_table(owner: asyncpg.Connection, role: str) -> None:
    """Of the schema and of each table: whichever is granted by mistake, the other still refuses."""
    found = {
        (name, verb): await owner.fetchval("SELECT has_table_privilege($1, $2, $3)", role, f"hookcast.{name}", verb)
        for name, verb in product(RELATIONS, VERBS)
    }
    assert found == dict.fromkeys(product(RELATIONS, VERBS), False)
    assert not await owner.fetchval("SELECT has_schema_privilege($1, 'hookcast', 'USAGE')", role)
    assert not await owner.fetchval("SELECT has_schema_privilege($1, 'hookcast', 'CREATE')", role)


@pytest.mark.parametrize("role", CALLERS)
@pytest.mark.parametrize("granted", ["nothing", "the schema"])
async def test_other_roles_are_refused(owner: asyncpg.Connection, role: str, granted: str) -> None:
    """Each verb on each table is tried."""
    if granted == "the schema":
        await owner.execute(f"GRANT USAGE ON SCHEMA hookcast TO {role}")
    for name, statement in product(RELATIONS, ATTEMPTS):
        column = await owner.fetchval(
            "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum = 1",
            f"hookcast.{name}",
        )
        async with acting_as(owner, role):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await owner.execute(statement.format(name, column))


@pytest.mark.parametrize("role", ["anon", "authenticated"])
async def test_row_level_security_holds_where_everything_is_granted(
    url: str, owner: asyncpg.Connection, role: str
) -> None:
    """On each table: no row is read, changed or deleted, and none is added."""
    await fill(url)
    await owner.execute(f"GRANT USAGE ON SCHEMA hookcast TO {role}")
    await owner.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA hookcast TO {role}")
    await owner.execute(f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA hookcast TO {role}")
    for name in TABLES:
        assert await owner.fetchval(
            "SELECT relrowsecurity FROM pg_class WHERE oid = $1::text::regclass", f"hookcast.{name}"
        )
        async with acting_as(owner, role):
            assert await owner.fetchval(f"SELECT count(*) FROM hookcast.{name}") == 0  # noqa: S608
            assert await owner.execute(f"DELETE FROM hookcast.{name}") == "DELETE 0"  # noqa: S608
            with pytest.raises(asyncpg.PostgresError):
                await owner.execute(f"INSERT INTO hookcast.{name} DEFAULT VALUES")
    async with acting_as(owner, role):
        assert await owner.fetchval("SELECT count(*) FROM hookcast.jobs_json") == 0


async def test_what_is_granted_later_stays(url: str, owner: asyncpg.Connection) -> None:
    """A start takes back only what default privileges have granted on tables that are new."""
    for sql in GRANTS:
        await owner.execute(sql)
    granted = await rights(owner)
    async with open_store(url):
        pass
    assert await rights(owner) == granted != set()


async def test_a_table_of_a_future_migration_is_closed_by_it(url: str, owner: asyncpg.Connection) -> None:
    """It comes with the default privileges and without row level security, whatever its migration forgets."""
    await owner.execute("DROP TABLE hookcast.work")
    await owner.execute("CREATE TABLE hookcast.work (id text)")
    assert ("work", "anon", "SELECT") in await rights(owner)
    async with open_store(url):
        pass
    assert await rights(owner) == set()
    assert await owner.fetchval("SELECT relrowsecurity FROM pg_class WHERE oid = 'hookcast.work'::regclass")


async def test_tables_moved_out_of_public_are_closed(url: str) -> None:
    """There everybody could read and change them."""
    await make_older(url, "0012")
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT has_table_privilege('anon', 'public.jobs', 'INSERT')")
    assert (await inspect(url)).earlier == "public"
    async with open_store(url):
        pass
    assert await rights(connection) == set()
    assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    assert await connection.fetchval(
        "SELECT count(*) FROM pg_tables WHERE schemaname = 'hookcast' AND rowsecurity"
    ) == len(TABLES)
    await connection.close()


async def test_a_user_sees_its_own_jobs_by_the_policy_of_the_page(url: str, owner: asyncpg.Connection) -> None:
    """In the table and in the view, joined with its own tables; it changes none. Without a token: nothing."""
    await fill(url)
    for sql in GRANTS:
        await owner.execute(sql)
    for user, name in ((ANN, "of-ann"), (BOB, "of-bob")):
        async with acting_as(owner, "authenticated", user):
            assert [row["request_id"] for row in await owner.fetch("SELECT request_id FROM hookcast.jobs")] == [name]
            [row] = await owner.fetch("SELECT * FROM hookcast.jobs_json")
            assert (row["request_id"], row["owner_id"]) == (name, user)
        async with acting_as(owner, "authenticated", user):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await owner.execute("UPDATE hookcast.jobs SET status = 'failed'")
    async with acting_as(owner, "authenticated"):
        assert await owner.fetch("SELECT FROM hookcast.jobs_json") == []
    async with acting_as(owner, "anon"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await owner.fetch("SELECT FROM hookcast.jobs_json")


async def test_users_are_joined_with_their_jobs_as_on_the_page(url: str, owner: asyncpg.Connection) -> None:
    await fill(url)
    [join] = JOIN
    server = await asyncpg.connect(url.replace("postgres@", "hookcast@"))
    await server.execute("INSERT INTO auth.users VALUES ($1, 'ann@x.test'), ($2, 'bob@x.test')", ANN, BOB)
    await server.close()
    assert sorted(map(tuple, await owner.fetch(join))) == [("ann@x.test", None), ("bob@x.test", "https://x/1.png")]


async def view(owner: asyncpg.Connection) -> dict[str, dict[str, Any]]:
    return {row["request_id"]: dict(row) for row in await owner.fetch("SELECT * FROM hookcast.jobs_json")}


async def test_the_view_has_json_as_jsonb_and_the_owner_as_uuid(url: str, owner: asyncpg.Connection) -> None:
    """A text that jsonb refuses is NULL in its row, and hides no other row."""
    await fill(url)
    found = await view(owner)
    assert found["of-ann"]["result"] is None
    assert json.loads(found["of-ann"]["metadata"]) == {"node": "n-1"}
    assert json.loads(found["of-bob"]["result"]) == {"images": [{"url": "https://x/1.png"}]}
    assert (found["of-nobody"]["owner"], found["of-nobody"]["owner_id"]) == ("user-1", None)
    assert (found["of-nobody"]["retry_of"], found["of-bob"]["retry_of"]) == ("of-bob", None)
    assert await owner.fetchval("SELECT result FROM hookcast.jobs WHERE request_id = 'of-ann'") == r'{"text": "\u0000"}'


REFUSED = {
    "NUL": r'"\u0000"',
    "half a surrogate pair": r'"\ud800"',
    "a number beyond numeric": "1e999999",
    "deep": "[" * 20_000 + "]" * 20_000,
    "no JSON": "{",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
async def test_a_text_that_jsonb_refuses_is_null(owner: asyncpg.Connection, text: str) -> None:
    assert await owner.fetchval("SELECT hookcast.json_of($1)", text) is None
    assert await owner.fetchval("SELECT hookcast.json_of($1)", "[1]") == "[1]"


async def test_the_table_can_be_subscribed_to(owner: asyncpg.Connection) -> None:
    """Realtime reads publications, which hold tables."""
    for sql in GRANTS:
        await owner.execute(sql)
    found = await owner.fetch(
        "SELECT schemaname, tablename FROM pg_publication_tables WHERE pubname = 'supabase_realtime'"
    )
    assert [tuple(row) for row in found] == [("hookcast", "jobs")]
