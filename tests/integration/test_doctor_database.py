"""What `hookcast doctor` says of a database that another program uses, too."""

import sqlite3
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from support.examined import findings
from support.fal import FalDouble
from support.postgres import Postgres

pytestmark = pytest.mark.anyio
OTHERS = {
    "table": "CREATE TABLE other (id integer)",
    "view": "CREATE VIEW other AS SELECT 1 AS id",
    "materialized view": "CREATE MATERIALIZED VIEW other AS SELECT 1 AS id",
    "sequence": "CREATE SEQUENCE other",
    "function": "CREATE FUNCTION other() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "procedure": "CREATE PROCEDURE other() LANGUAGE sql AS 'SELECT 1'",
    "type": "CREATE TYPE other AS ENUM ('a')",
    "foreign table": "CREATE FOREIGN TABLE other (id integer) SERVER elsewhere",
}


@pytest.mark.empty_database
@pytest.mark.parametrize("kind", OTHERS)
async def test_a_schema_that_has_something_of_another_program_is_not_called_empty(
    fal: FalDouble, postgres: Postgres, postgres_url: str, kind: str
) -> None:
    """It is named, whatever it is, and nothing is proposed that could take away its rights."""
    wrapper = "CREATE FOREIGN DATA WRAPPER nothing"
    server = "CREATE SERVER elsewhere FOREIGN DATA WRAPPER nothing"
    made = (wrapper, server, "CREATE SCHEMA hookcast", "SET search_path TO hookcast", OTHERS[kind])
    postgres.sql(*made, database=urlsplit(postgres_url).path[1:])
    found = (await findings(fal, postgres_url))["database"]
    assert (found.level, "is empty" in found.text, "migrate" in found.text) == ("warn", False, False)
    assert f"but {kind} other; " in found.text
    assert "HOOKCAST_DATABASE_SCHEMA" in found.text


@pytest.mark.empty_database
@pytest.mark.parametrize("kind", ["table", "view"])
async def test_a_file_that_has_something_of_another_program_is_not_called_empty(
    fal: FalDouble, database_url: str, kind: str
) -> None:
    with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"))) as connection:
        connection.execute(OTHERS[kind])
        connection.commit()
    found = (await findings(fal, database_url))["database"]
    assert f"but {kind} other; " in found.text
    assert "HOOKCAST_DATABASE_URL" in found.text
