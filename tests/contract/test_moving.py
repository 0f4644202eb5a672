"""Hookcast's schema of PostgreSQL: beside other programs, and filled from where an earlier version had its tables."""

import asyncio
from datetime import UTC, datetime
from typing import NoReturn
from urllib.parse import quote, urlsplit

import pytest
from msgspec import Raw
from sqlalchemy import Connection, text

from hookcast.bus import LocalBus
from hookcast.dispatcher import Dispatcher
from hookcast.errors import StoreUnavailable
from hookcast.jobs import Completed, Registered
from hookcast.store import inspect, open_store, place
from hookcast.store.database import open_database
from hookcast.store.revision import VERSIONS, Schema
from hookcast.store.schema import metadata
from support.older import make_older, step_back
from support.postgres import Postgres

pytestmark = [pytest.mark.anyio, pytest.mark.empty_database]
TABLES = sorted([VERSIONS, *metadata.tables])
NODES = 4
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
FOREIGN = {
    "of another program": (
        "CREATE TABLE public.jobs (id integer, status text)",
        "INSERT INTO public.jobs VALUES (1, 'new')",
        "CREATE TABLE public.alembic_version (version_num text)",
        "INSERT INTO public.alembic_version VALUES ('ae1027a6acf')",
    ),
    "with revisions like ours": (
        "CREATE TABLE public.jobs (request_id text, status text, version integer)",
        "CREATE TABLE public.alembic_version (version_num text)",
        "INSERT INTO public.alembic_version VALUES ('0003')",
    ),
    "that nobody else may read": (
        "CREATE TABLE public.alembic_version (version_num text)",
        "CREATE TABLE public.jobs (id integer)",
        "CREATE ROLE stranger",
        "ALTER TABLE public.jobs OWNER TO stranger",
        "ALTER TABLE public.alembic_version OWNER TO stranger",
    ),
    "with the names of all our tables": tuple(f"CREATE TABLE public.{name} (id integer)" for name in TABLES),
}


@pytest.fixture(params=["postgresql", "pooler"])
def url(request: pytest.FixtureRequest) -> str:
    """An empty database, directly and behind a pooler."""
    found: str = request.getfixturevalue({"postgresql": "postgres_url", "pooler": "pooler_url"}[request.param])
    return found


def execute(url: str, postgres: Postgres, *statements: str) -> None:
    """Run statements as the superuser."""
    postgres.sql(*statements, database=urlsplit(url).path[1:])


async def ask(url: str, sql: str) -> list[str]:
    """Return the first column of what a query finds."""
    database = open_database(url)
    try:
        return await database.read(lambda connection: [str(row[0]) for row in connection.execute(text(sql))])
    finally:
        await database.close()


async def where(url: str, kind: str = "r") -> list[str]:
    """Return the tables (or what else has this kind), with their schemas."""
    return await ask(
        url,
        "SELECT relnamespace::regnamespace || '.' || relname FROM pg_class "  # noqa: S608
        f"WHERE relkind = '{kind}' AND relnamespace::regnamespace::text !~ '^(pg_|information_)' ORDER BY 1",
    )


async def complete(url: str, name: str) -> None:
    """Complete a job."""
    async with open_store(url) as store:
        dispatcher = Dispatcher(store, LocalBus(lambda _: None), lambda: NOW)
        await dispatcher.apply(name, Completed(result=Raw(b"1")), "webhook")


def with_a_job(connection: Connection) -> None:
    """Store a pending job as an earlier version did."""
    names = "request_id, status, version, phase, logs, metadata, created_at, updated_at, changed_at"
    connection.execute(
        text(f"INSERT INTO jobs ({names}) VALUES ('old', 'pending', 1, 'queued', '[]', '{{}}', now(), now(), 0)")  # noqa: S608
    )


async def test_everything_is_in_the_schema_and_nothing_in_public(url: str) -> None:
    async with open_store(url) as store:
        await store.probe()
    assert await where(url) == [f"hookcast.{name}" for name in TABLES]
    assert await where(url, "v") == ["hookcast.jobs_json"]
    assert {name.partition(".")[0] for name in await where(url, "i")} == {"hookcast"}
    assert await ask(url, "SELECT DISTINCT pronamespace::regnamespace FROM pg_proc WHERE proowner <> 10") == []


async def test_the_view_keeps_the_rights_on_it_when_it_gets_a_column(url: str, postgres: Postgres) -> None:
    """Whoever may read it goes on."""
    async with open_store(url):
        pass
    await step_back(url, "0019")
    execute(url, postgres, "GRANT SELECT ON hookcast.jobs_json TO PUBLIC")
    async with open_store(url):
        pass
    assert await ask(url, "SELECT has_table_privilege('public', 'hookcast.jobs_json', 'SELECT')") == ["True"]
    assert await ask(url, "SELECT retry_of FROM hookcast.jobs_json") == []


async def test_two_deployments_have_a_schema_each(postgres_url: str) -> None:
    """Neither sees nor takes the other's tables, though the search path begins with those of the first."""
    async with open_store(postgres_url, "one") as one:
        await Dispatcher(one, LocalBus(lambda _: None), lambda: NOW).apply("job-1", Registered())
        async with open_store(f"{postgres_url}?options=-csearch_path%3Done", "user") as two:
            assert await two.get("job-1") is None
            assert await one.get("job-1") is not None
    assert await where(postgres_url) == [f"{schema}.{name}" for schema in ('"user"', "one") for name in TABLES]


@pytest.mark.parametrize("statements", FOREIGN.values(), ids=FOREIGN)
async def test_tables_of_another_program_in_public_are_left_alone(
    postgres_url: str, postgres: Postgres, statements: tuple[str, ...]
) -> None:
    """Also by a user with no right to them."""
    execute(postgres_url, postgres, "CREATE ROLE modest LOGIN", *statements)
    own = f"GRANT CREATE ON DATABASE {urlsplit(postgres_url).path[1:]} TO modest"
    execute(postgres_url, postgres, own)
    before = await where(postgres_url)
    modest = postgres_url.replace("hookcast@", "modest@")
    try:
        for _ in range(2):
            await complete(modest, "job-1")
        assert (await inspect(modest)).earlier is None
        assert await where(postgres_url) == sorted([*before, *(f"hookcast.{name}" for name in TABLES)])
    finally:
        execute(postgres_url, postgres, "DROP OWNED BY modest", "DROP ROLE modest")
        if "stranger" in str(statements):
            execute(postgres_url, postgres, "DROP OWNED BY stranger", "DROP ROLE stranger")


@pytest.mark.parametrize(
    "made",
    [
        ["CREATE SCHEMA apart AUTHORIZATION modest"],
        [
            "CREATE SCHEMA apart",
            "GRANT CREATE, USAGE ON SCHEMA apart TO modest",
            "GRANT USAGE ON SCHEMA apart TO PUBLIC",
        ],
    ],
    ids=["its own", "another user's"],
)
async def test_a_user_needs_rights_in_one_schema_only(postgres_url: str, postgres: Postgres, made: list[str]) -> None:
    """Neither in the database nor in public."""
    execute(
        postgres_url,
        postgres,
        "CREATE ROLE modest LOGIN",
        *made,
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
    )
    try:
        async with open_store(postgres_url.replace("hookcast@", "modest@"), "apart") as store:
            await store.probe()
        assert await where(postgres_url) == [f"apart.{name}" for name in TABLES]
    finally:
        execute(postgres_url, postgres, "DROP OWNED BY modest", "DROP ROLE modest")


@pytest.mark.parametrize("name", ["App", "hookcast@project.iam", "two words", 'a"b', "ünï", "1st"])
async def test_a_user_s_name_may_need_quotes(postgres_url: str, postgres: Postgres, name: str) -> None:
    """Those of clouds are addresses."""
    quoted = '"{}"'.format(name.replace('"', '""'))
    execute(postgres_url, postgres, f"CREATE ROLE {quoted} LOGIN", f"CREATE SCHEMA apart AUTHORIZATION {quoted}")
    try:
        url = postgres_url.replace("hookcast@", f"{quote(name, safe='')}@")
        async with open_store(url, "apart") as store:
            await store.probe()
        assert await where(postgres_url) == [f"apart.{table}" for table in TABLES]
    finally:
        execute(postgres_url, postgres, f"DROP OWNED BY {quoted}", f"DROP ROLE {quoted}")


@pytest.mark.parametrize("revision", ["0001", "0006", "0010", "0012"])
async def test_tables_of_an_earlier_version_are_moved_with_their_rows(url: str, revision: str) -> None:
    """From any revision, once; an inspection says so before."""
    await make_older(url, revision, lambda connection: None if revision < "0003" else with_a_job(connection))
    assert set(await where(url)) <= {f"public.{name}" for name in [*TABLES, "idempotency_keys"]}
    seen = await inspect(url)
    assert (seen.schema, seen.earlier) == (Schema.NONE, "public")
    if revision > "0003":
        await complete(url, "old")
        async with open_store(url) as store:
            job = await store.get("old")
        assert job is not None
        assert (job.version, job.result) == (2, Raw(b"1"))
    else:
        await complete(url, "new")
    assert await where(url) == [f"hookcast.{name}" for name in TABLES]
    assert (await inspect(url)).earlier is None


async def test_nodes_that_start_together_move_the_tables_once(url: str) -> None:
    await make_older(url, "0012", with_a_job)
    await asyncio.gather(*(complete(url, f"job-{number}") for number in range(NODES)), complete(url, "old"))
    async with open_store(url) as store:
        found = await store.get_many(["old", *(f"job-{number}" for number in range(NODES))])
    assert len(found) == NODES + 1
    assert await where(url) == [f"hookcast.{name}" for name in TABLES]


async def test_nodes_that_start_together_make_the_schema_once(url: str) -> None:
    await asyncio.gather(*(complete(url, f"job-{number}") for number in range(NODES)))
    assert await where(url) == [f"hookcast.{name}" for name in TABLES]


@pytest.mark.parametrize("step", ["enter", "close"])
async def test_a_node_that_dies_while_it_moves_the_tables_leaves_them_where_they_were(
    url: str, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The next one moves them."""
    await make_older(url, "0012", with_a_job)

    def die(*_: object) -> NoReturn:
        raise OSError("killed")

    before = await where(url)
    with monkeypatch.context() as patched:
        patched.setattr(place, step, die)
        with pytest.raises(StoreUnavailable):
            await complete(url, "old")
    assert await where(url) == before
    await complete(url, "old")
    assert await where(url) == [f"hookcast.{name}" for name in TABLES]


async def test_a_table_that_a_later_revision_has_is_another_programs(url: str, postgres: Postgres) -> None:
    """Only the tables of the revision are moved."""
    await make_older(url, "0010", with_a_job)
    execute(url, postgres, "CREATE TABLE public.work (hours integer)")
    await complete(url, "old")
    assert await where(url) == [*(f"hookcast.{name}" for name in TABLES), "public.work"]


async def test_tables_that_are_in_the_schema_already_stay_and_are_closed(postgres_url: str, postgres: Postgres) -> None:
    """The URL of an earlier version named it as the search path."""
    execute(postgres_url, postgres, "CREATE SCHEMA hookcast")
    url = f"{postgres_url}?options=-csearch_path%3Dhookcast%2Cpublic"
    await make_older(url, "0012", with_a_job)
    await complete(url, "old")
    assert await where(url) == [f"hookcast.{name}" for name in TABLES]
    assert await ask(url, "SELECT relname FROM pg_class WHERE relkind = 'r' AND relrowsecurity ORDER BY 1") == TABLES


async def test_another_deployments_older_tables_are_no_hindrance(postgres_url: str, postgres: Postgres) -> None:
    """They belong to a user that shares nothing; this one has its schema already."""
    execute(postgres_url, postgres, "CREATE ROLE modest LOGIN", "CREATE SCHEMA apart AUTHORIZATION modest")
    modest = postgres_url.replace("hookcast@", "modest@")
    try:
        async with open_store(modest, "apart"):
            pass
        await make_older(postgres_url, "0012")
        async with open_store(modest, "apart"):
            seen = await inspect(modest, "apart")
        assert (seen.schema, seen.earlier) == (Schema.CURRENT, "public")
    finally:
        execute(postgres_url, postgres, "DROP OWNED BY modest", "DROP ROLE modest")


async def test_tables_that_an_earlier_version_makes_afterwards_are_told(url: str) -> None:
    """A node that was not stopped; they are not touched."""
    await complete(url, "job-1")
    await make_older(url, "0012", with_a_job)
    await complete(url, "job-2")
    seen = await inspect(url)
    assert (seen.schema, seen.earlier) == (Schema.CURRENT, "public")
