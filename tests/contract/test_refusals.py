"""Databases that cannot be used until somebody changes them: each is refused with a sentence that says what to do."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hookcast.errors import StoreRefused, StoreUnavailable
from hookcast.store import inspect, open_store
from support.older import make_older
from support.ports import quiet_port
from support.postgres import Postgres

pytestmark = [pytest.mark.anyio, pytest.mark.empty_database]
FOREIGN = {
    "a table jobs": (["CREATE TABLE jobs (id integer)"], "table jobs of another program"),
    "a table leases": (["CREATE TABLE leases (id integer)"], "table leases of another program"),
    "a view jobs": (["CREATE VIEW jobs AS SELECT 1 AS id"], "view jobs of another program"),
    "a view of revisions": (
        ["CREATE VIEW alembic_version AS SELECT '0001' AS version_num"],
        "alembic_version of another program",
    ),
    "another program's revisions": (
        ["CREATE TABLE alembic_version (version_num text)", "INSERT INTO alembic_version VALUES ('ae1027a6acf')"],
        "alembic_version of another program",
    ),
    "revisions that look like ours": (
        ["CREATE TABLE alembic_version (version_num text)", "INSERT INTO alembic_version VALUES ('0003')"],
        "alembic_version of another program",
    ),
    "two heads": (
        ["CREATE TABLE alembic_version (version_num text)", "INSERT INTO alembic_version VALUES ('0001'), ('0002')"],
        "alembic_version of another program",
    ),
    "a table that only has the name": (
        ["CREATE TABLE alembic_version (release integer)"],
        "alembic_version of another program",
    ),
}


async def refusal(url: str) -> str:
    """Return why a start is refused; an inspection, which changes nothing, says the same."""
    with pytest.raises(StoreRefused) as caught:
        async with open_store(url):
            pass
    with pytest.raises(StoreRefused) as inspected:
        await inspect(url)
    assert inspected.value.reason == caught.value.reason
    assert "\n" not in caught.value.reason
    return caught.value.reason


def execute(url: str, postgres: Postgres, *statements: str) -> None:
    """Run statements in a database, on PostgreSQL in the schema hookcast."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()
    else:
        place = ("CREATE SCHEMA IF NOT EXISTS hookcast", "SET search_path TO hookcast")
        postgres.sql(*place, *statements, database=urlsplit(url).path[1:])


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """An empty database of each kind."""
    found: str = request.getfixturevalue({"sqlite": "database_url", "postgresql": "postgres_url"}[request.param])
    return found


@pytest.mark.parametrize(("statements", "word"), FOREIGN.values(), ids=FOREIGN)
async def test_tables_of_another_program_are_left_alone(
    url: str, postgres: Postgres, statements: list[str], word: str
) -> None:
    """They are named, and none is added."""
    execute(url, postgres, *statements)
    assert word in await refusal(url)


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("CREATE MATERIALIZED VIEW jobs AS SELECT 1 AS id", "materialized view jobs of another program"),
        ("CREATE SEQUENCE leases", "sequence leases of another program"),
        ("CREATE TYPE work AS (id integer)", "type work of another program"),
        ("CREATE DOMAIN journal AS text", "type journal of another program"),
        ("CREATE MATERIALIZED VIEW alembic_version AS SELECT 1 AS id", "materialized view alembic_version of another"),
    ],
)
async def test_what_no_table_can_share_its_name_with_is_named(
    postgres_url: str, postgres: Postgres, statement: str, word: str
) -> None:
    """Before the first table is made."""
    execute(postgres_url, postgres, statement)
    assert word in await refusal(postgres_url)


async def test_a_newer_schema_is_not_touched(url: str, postgres: Postgres) -> None:
    """The version that made it has to serve."""
    async with open_store(url):
        pass
    execute(url, postgres, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreRefused, match="newer version"):
        async with open_store(url):
            pass


@pytest.fixture
async def role(postgres: Postgres) -> AsyncIterator[str]:
    """A user with a password and no rights."""
    rules = postgres.folder / "data" / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"host all guest 127.0.0.1/32 scram-sha-256\n{before}")
    postgres.sql("CREATE ROLE guest LOGIN PASSWORD 'right'", "SELECT pg_reload_conf()")
    yield "guest"
    rules.write_text(before)
    postgres.sql("DROP OWNED BY guest", "DROP ROLE guest", "SELECT pg_reload_conf()")


async def test_a_wrong_password_a_missing_database_and_missing_rights_are_told(
    role: str, postgres_url: str, postgres: Postgres
) -> None:
    wrong = postgres_url.replace("hookcast@", f"{role}:secret-0@")
    told = await refusal(wrong)
    assert "password" in told
    assert "HOOKCAST_DATABASE_URL" in told
    assert "secret-0" not in told
    right = postgres_url.replace("hookcast@", f"{role}:right@")
    assert "does not exist" in await refusal(right.rpartition("/")[0] + "/nowhere")
    assert "does not exist" in await refusal(postgres_url.replace("hookcast@", "nobody@"))
    assert "run CREATE SCHEMA hookcast AUTHORIZATION guest; as an administrator" in await refusal(right)
    execute(postgres_url, postgres)
    assert "run GRANT CREATE, USAGE ON SCHEMA hookcast TO guest; as an administrator" in await refusal(right)
    execute(postgres_url, postgres, f"GRANT CREATE, USAGE ON SCHEMA hookcast TO {role}")
    async with open_store(right) as store:
        await store.probe()


async def test_an_encoding_that_cannot_store_every_text_is_told(postgres: Postgres) -> None:
    """Else a job would fail over its first sign that the encoding lacks."""
    postgres.sql("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    told = await refusal(f"postgresql://hookcast@127.0.0.1:{postgres.port}/latin")
    assert "encoding is LATIN1" in told
    assert "ENCODING 'UTF8'" in told
    postgres.drop("latin")


async def test_missing_rights_on_tables_are_told(role: str, postgres_url: str, postgres: Postgres) -> None:
    """After a restore as another user, for instance; with rights, row level security would hide every row."""
    async with open_store(postgres_url):
        pass
    guest = postgres_url.replace("hookcast@", f"{role}:right@")
    assert "permission denied" in await refusal(guest)
    execute(postgres_url, postgres, f"GRANT USAGE ON SCHEMA hookcast TO {role}")
    execute(postgres_url, postgres, f"GRANT ALL ON ALL TABLES IN SCHEMA hookcast TO {role}")
    assert "run GRANT hookcast TO guest;" in await refusal(guest)


async def test_tables_of_an_earlier_version_that_belong_to_another_user_are_told(
    role: str, postgres_url: str, postgres: Postgres
) -> None:
    """Only their owner can move them."""
    await make_older(postgres_url, "0012")
    execute(postgres_url, postgres, f"GRANT CREATE, USAGE ON SCHEMA hookcast TO {role}")
    told = await refusal(postgres_url.replace("hookcast@", f"{role}:right@"))
    assert "in the schema public belong to the user hookcast: run `hookcast migrate` once as hookcast" in told


FILES = {
    "no folder": ("missing/hookcast.db", "There is no folder"),
    "a folder": ("folder", "is a folder"),
    "no database": ("text", "file is not a database"),
}


@pytest.mark.parametrize(("name", "word"), FILES.values(), ids=FILES)
async def test_a_file_that_is_no_database_is_told(tmp_path: Path, name: str, word: str) -> None:
    """With its name, or the setting."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("It only has the name of a database. " * 100)
    told = await refusal(f"sqlite:///{tmp_path / name}")
    assert word in told
    assert "HOOKCAST_DATABASE_URL" in told


async def test_a_server_without_tls_is_told_where_tls_is_required(postgres_url: str, tmp_path: Path) -> None:
    assert "SSL" in await refusal(f"{postgres_url}?sslmode=require")
    (tmp_path / "empty.pem").write_text("")
    url = f"{postgres_url}?sslmode=verify-full&sslrootcert={tmp_path / 'empty.pem'}"
    assert "certificates cannot be used" in await refusal(url)


async def test_a_server_that_is_away_is_no_refusal() -> None:
    """It may come back, and so may a name that cannot be looked up."""
    for host in (f"127.0.0.1:{quiet_port()}", "no-such-host.invalid"):
        with pytest.raises(StoreUnavailable) as caught:
            async with open_store(f"postgresql://u:secret-0@{host}/d"):
                pass
        assert not isinstance(caught.value, StoreRefused)
        assert caught.value.trouble in {"unreachable", "timeout"}
        assert "secret-0" not in caught.value.reason
