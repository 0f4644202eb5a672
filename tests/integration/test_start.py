"""Starting while the database is away: the server waits, says so, and answers; what waiting cannot mend ends it."""

import asyncio
import json
import os
import signal
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from support.commands import hookcast
from support.older import make_older
from support.ports import quiet_port
from support.postgres import Postgres, running_postgres
from support.redis import Redis
from support.served import Served
from support.web import Web

pytestmark = [pytest.mark.anyio, pytest.mark.empty_database]
DEADLINE = 120.0
NOWHERE = dict.fromkeys(("HOOKCAST_FAL_QUEUE_URL", "HOOKCAST_FAL_JWKS_URL"), "http://127.0.0.1:1")


def events(node: Served, name: str) -> list[dict[str, Any]]:
    """Return the log's lines of one event; every line is one."""
    lines = [json.loads(line) for line in node.log.read_text().splitlines()]
    return [line for line in lines if line["event"] == name]


async def test_a_server_waits_for_its_database(tmp_path: Path) -> None:
    """It is alive and not ready, each webhook gets 503, one line an attempt; then it serves without a restart."""
    web = Web()
    with running_postgres() as postgres:
        url = postgres.create("late")
        postgres.stop()
        node = Served(tmp_path, {"database_url": url, "fal_jwks_url": f"http://127.0.0.1:{quiet_port()}/"})
        try:
            async with asyncio.timeout(DEADLINE):
                await node.spawn()
                await node.ready()
                assert (await web.request(node.port, "GET", "/healthz"))[0] == 200
                status, body = await web.request(node.port, "GET", "/readyz")
                assert (status, json.loads(body)["checks"]["database"]) == (503, "unavailable")
                assert json.loads(body)["reasons"]["database"]["code"] == "unreachable"
                for method, path in (
                    ("POST", "/api/webhooks/fal"),
                    ("POST", "/api/fal-jobs"),
                    ("GET", "/api/fal-jobs/job-1"),
                    ("GET", "/api/fal-jobs/job-1/events"),
                    ("GET", "/metrics"),
                ):
                    status, body = await web.request(node.port, method, path)
                    assert (status, json.loads(body)["code"]) == (503, "store_unavailable"), path
                while len(events(node, "waiting_for_database")) < 2:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.05)
                await asyncio.to_thread(postgres.start)
                while (await web.request(node.port, "GET", "/api/fal-jobs"))[0] != 200:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                assert await node.stop() == 0
        finally:
            await node.kill()
            await web.close()
            if not postgres.running:
                postgres.start()
    waited = events(node, "waiting_for_database")
    assert all(0.5 < line["retry_in"] <= 15 and "reached" in line["reason"] for line in waited)
    assert node.complaints() == []


@pytest.mark.parametrize(("workers", "name"), [(1, "SIGHUP"), (2, "SIGTERM")])
async def test_a_signal_ends_a_server_that_waits(tmp_path: Path, redis_server: Redis, workers: int, name: str) -> None:
    """At once, and as one that serves: SIGHUP, too, which a closing terminal sends."""
    url = f"postgresql://u:p@127.0.0.1:{quiet_port()}/d"
    node = Served(tmp_path, {"database_url": url, "redis_url": redis_server.url}, workers)
    try:
        async with asyncio.timeout(DEADLINE):
            await node.spawn()
            await node.ready()
            os.kill(node.pid, getattr(signal, name))
            assert await node.ended() == 0
    finally:
        await node.kill()
    assert events(node, "waiting_for_database")
    assert "Traceback" not in node.log.read_text()


async def test_a_database_that_waiting_cannot_mend_ends_every_command(tmp_path: Path) -> None:
    """One sentence and exit code 2: of a server, whose log has begun, as the log's last line."""
    file = tmp_path / "foreign.db"
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE jobs (id integer)")
    connection.close()
    settings = {"HOOKCAST_DATABASE_URL": f"sqlite:///{file}", "HOOKCAST_PORT": str(quiet_port())}
    settings |= NOWHERE
    for command in ("serve", "migrate"):
        said = await hookcast(tmp_path, command, **settings)
        *before, told = said.err.splitlines()
        assert (said.code, said.out) == (2, ""), said
        assert told.startswith("{" if command == "serve" else "hookcast: ")
        assert "table jobs of another program" in told
        assert "table jobs of another program" not in "".join(before)
    said = await hookcast(tmp_path, "doctor", **settings)
    found = [line for line in said.out.splitlines() if line.split()[1] == "database"]
    assert (said.code, len(found), said.err) == (2, 1, "")
    assert "table jobs of another program" in found[0]


async def test_workers_whose_database_cannot_be_used_do_not_start(tmp_path: Path, postgres_url: str) -> None:
    """Their parent says it, once, in the log."""
    settings = {
        "HOOKCAST_DATABASE_URL": postgres_url + "_is_missing",
        "HOOKCAST_REDIS_URL": f"redis://127.0.0.1:{quiet_port()}",
        "HOOKCAST_PORT": str(quiet_port()),
    }
    said = await hookcast(tmp_path, "serve", "--workers", "2", **settings)
    lines = [json.loads(line) for line in said.err.splitlines()]
    assert (said.code, said.out, {line["event"] for line in lines[:-1]}) == (2, "", {"settings"})
    assert (lines[-1]["event"], lines[-1]["exit_code"]) == ("stopped", 2)
    assert "does not exist" in lines[-1]["reason"]


async def test_a_user_that_may_not_create_the_schema_is_told_what_to_run(
    tmp_path: Path, postgres: Postgres, postgres_url: str
) -> None:
    """By every command, in one line; afterwards it serves."""
    postgres.sql("CREATE ROLE modest LOGIN")
    settings = {
        "HOOKCAST_DATABASE_URL": postgres_url.replace("hookcast@", "modest@"),
        "HOOKCAST_DATABASE_SCHEMA": "own",
    }
    try:
        for command in ("serve", "migrate", "doctor"):
            said = await hookcast(tmp_path, command, HOOKCAST_PORT=str(quiet_port()), **settings, **NOWHERE)
            told = [line for line in (said.err + said.out).splitlines() if "AUTHORIZATION" in line]
            assert (said.code, len(told)) == (2, 1), said
            assert "may not create the schema own: run CREATE SCHEMA own AUTHORIZATION modest; as an admin" in told[0]
        database = urlsplit(postgres_url).path[1:]
        postgres.sql("CREATE SCHEMA own AUTHORIZATION modest", database=database)
        assert (await hookcast(tmp_path, "migrate", **settings)).code == 0
        said = await hookcast(tmp_path, "doctor", **settings, **NOWHERE)
        assert f"/{database}, schema own accepts writes and is up to date" in said.out
    finally:
        postgres.sql("DROP OWNED BY modest", database=urlsplit(postgres_url).path[1:])
        postgres.sql("DROP ROLE modest")


async def test_an_earlier_version_is_told_by_the_doctor_and_moved_by_migrate(tmp_path: Path, postgres_url: str) -> None:
    await make_older(postgres_url, "0012")
    settings = {"HOOKCAST_DATABASE_URL": postgres_url, **NOWHERE}
    found = "schema hookcast is empty; `hookcast serve` or `migrate` moves its tables there from the schema public"
    assert found in (await hookcast(tmp_path, "doctor", **settings)).out
    assert (await hookcast(tmp_path, "migrate", **settings)).code == 0
    assert "schema hookcast accepts writes" in (await hookcast(tmp_path, "doctor", **settings)).out
    await make_older(postgres_url, "0012")
    assert "public has tables of an earlier version, beside" in (await hookcast(tmp_path, "doctor", **settings)).out
