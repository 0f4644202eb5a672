"""Attacks on the access control of a real server."""

import base64
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.access import ADMIN, API_KEY, SECRET, SETTINGS, token
from support.fal import ENDPOINT, FalDouble
from support.raw import get, raw
from support.server import Node, running_node

pytestmark = pytest.mark.anyio
JOB = "/api/fal-jobs/job-1"


@pytest.fixture
async def closed(database_url: str, fal: FalDouble) -> AsyncIterator[Node]:
    """A server that asks for keys and tokens, with a job of user-1 in the group g."""
    async with running_node(fal, database_url=database_url, **SETTINGS) as node:
        facts = {"owner": "user-1", "group": "g", "endpointId": ENDPOINT}
        assert (await node.client.put(JOB, json=facts, headers=ADMIN)).status_code == 201
        yield node


def bearer(**claims: Any) -> dict[str, str]:
    """The header of a token of ours."""
    return {"Authorization": f"Bearer {token(**claims)}"}


HEADERS = [
    (f"Authorization: Bearer {API_KEY}", b"200"),
    (f"authorization: bEARER  {API_KEY} ", b"200"),
    (f"Authorization: Bearer wrong\r\nAuthorization: Bearer {API_KEY}", b"401"),
    (f"Authorization: Bearer\t{API_KEY}", b"401"),
    (f"Authorization: Bearer {API_KEY}, Bearer {API_KEY}", b"401"),
    (f"Authorization: Bearer {API_KEY}\0", b"400"),
    (f"Authorization: Bearer {API_KEY}\rX: y", b"400"),
    (f"Authorization: Bearer\r\n {API_KEY}", b"400"),
    (f"Authorization : Bearer {API_KEY}", b"400"),
    (f"Proxy-Authorization: Bearer {API_KEY}", b"401"),
    (f"Cookie: token={API_KEY}", b"401"),
    ("Authorization: Bearer é.ÿ.é", b"401"),
    ("X-HTTP-Method-Override: GET", b"401"),
]


async def test_a_credential_cannot_be_smuggled(closed: Node) -> None:
    """Only one whole, well-formed header counts, and the first of several."""
    for header, status in HEADERS:
        async with raw(closed) as client:
            await client.send(get(JOB, header))
            assert (await client.until(b"\r\n\r\n")).split()[1] == status, header


PATHS = [
    "//api/fal-jobs",
    "/api//fal-jobs",
    "/api/fal-jobs/",
    "/api/fal-jobs/.",
    "/api/../api/fal-jobs",
    "/%61pi/fal-jobs",
    "/api/fal-jobs%00",
    "/api/fal-jobs/job-1/",
    "/api/fal-jobs/job-1%2Fevents",
    "http://127.0.0.1/api/fal-jobs",
    "/api/fal-jobs?Token=" + API_KEY,
    "/api/fal-jobs?x=1;token=" + API_KEY,
]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "DELETE"])
async def test_no_spelling_of_a_path_goes_around_the_check(closed: Node, method: str) -> None:
    """A refusal, and nothing of a job in it."""
    for path in PATHS:
        async with raw(closed) as client:
            await client.send(get(path, "Connection: close", method=method))
            answer = await client.rest()
            assert answer.split()[1] in {b"400", b"401", b"404", b"405"}, path
            assert b"owner" not in answer


@pytest.mark.parametrize("tag", ['"1"', "*", 'W/"1"'])
async def test_a_stranger_learns_nothing_by_an_etag(closed: Node, tag: str) -> None:
    """404, where the owner gets 304."""
    asked = {"If-None-Match": tag}
    assert (await closed.client.get(JOB, headers={**bearer(sub="user-2"), **asked})).status_code == 404
    assert (await closed.client.get(JOB, headers={**bearer(sub="user-1"), **asked})).status_code == 304


async def test_no_shared_cache_keeps_a_personal_answer(closed: Node) -> None:
    """`private` or `no-store`, on answers and refusals."""
    for path in (JOB, "/api/fal-jobs"):
        for headers in (ADMIN, bearer(sub="user-1"), {}):
            kept = (await closed.client.get(path, headers=headers)).headers["cache-control"]
            assert "private" in kept or "no-store" in kept


def cursor(value: bytes) -> str:
    """As an answer would bring it."""
    return base64.urlsafe_b64encode(value).decode()


CURSORS = [
    cursor(b'["0001-01-01T00:00:00+23:59","x"]'),
    cursor(b'["9999-12-31T23:59:59-23:59","x"]'),
    cursor(b'["2026-01-01T00:00:00Z","\\u0000"]'),
    cursor(b'["2026-01-01T00:00:00","x"]'),
    cursor(b"[]"),
    "%ff",
]


async def test_a_forged_cursor_is_refused(closed: Node) -> None:
    """By a plain answer, before the database sees it."""
    for wrong in CURSORS:
        answer = await closed.client.get(f"/api/fal-jobs?cursor={wrong}", headers=ADMIN)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), wrong


async def test_a_cursor_shows_no_job_of_others(closed: Node) -> None:
    """It says from where to go on, and the caller still sees what it sees."""
    await closed.client.put("/api/fal-jobs/job-2", json={"owner": "user-2"}, headers=ADMIN)
    start = cursor(b'["2999-01-01T00:00:00Z","x"]')
    found = await closed.client.get(f"/api/fal-jobs?cursor={start}&limit=1", headers=bearer(sub="user-1"))
    assert [job["requestId"] for job in found.json()["jobs"]] == ["job-1"]
    assert found.json()["nextCursor"] is None


async def test_a_name_ends_before_the_line_does(closed: Node) -> None:
    """A `$` in Python would let one newline pass."""
    for wrong in ({"owner": "a\n"}, {"group": "a\n"}):
        assert (await closed.client.put(JOB, json=wrong, headers=ADMIN)).status_code == 422
    assert (await closed.client.post("/api/tokens", json={"sub": "a\n"}, headers=ADMIN)).status_code == 422
    body = {"endpointId": ENDPOINT, "input": {}, "options": {"runnerHint": "a\n"}}
    assert (await closed.client.post("/api/fal-jobs", json=body, headers=ADMIN)).status_code == 422


async def test_no_token_is_made_that_would_not_be_taken(closed: Node) -> None:
    """Two hundred long names are more than a request's head can carry."""
    names = [f"{place:0200d}" for place in range(200)]
    answer = await closed.client.post("/api/tokens", json={"jobs": names}, headers=ADMIN)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


ORIGINS = [
    "https://APP.example.com",
    "https://app.example.com.",
    "https://app.example.com:444",
    "http://app.example.com",
    "https://app.example.com@evil.example",
    "https://app.example.com.evil.example",
    "https://evil.example/https://app.example.com",
    "http://[::1]:3000",
    "null",
    "",
    "//",
]


async def test_what_only_looks_like_an_allowed_origin_is_none(database_url: str, fal: FalDouble) -> None:
    """Neither may it do anything, nor read an answer or a stream."""
    allowed = {"allowed_origins": "https://app.example.com"}
    async with running_node(fal, database_url=database_url, **SETTINGS, **allowed) as node:
        await node.client.put(JOB, json={}, headers=ADMIN)
        for origin in ORIGINS:
            asked = {**ADMIN, "Origin": origin}
            assert (await node.client.put(JOB, json={}, headers=asked)).status_code == 403, origin
            assert "access-control-allow-origin" not in (await node.client.get(JOB, headers=asked)).headers
            async with node.client.stream("GET", f"{JOB}/events", headers=asked) as events:
                assert "access-control-allow-origin" not in events.headers


async def test_what_only_looks_like_loopback_is_a_strangers_page(node: Node) -> None:
    """Of an open server, which takes loopback's own pages."""
    await node.client.put(JOB, json={})
    for host in ("127.0.0.1.evil.example", "localhost.", "localhost@evil.example", "0x7f.1"):
        asked = {"Origin": f"http://{host}"}
        assert (await node.client.put(JOB, json={}, headers=asked)).status_code == 403, host
        async with node.client.stream("GET", f"{JOB}/events", headers=asked) as events:
            assert "access-control-allow-origin" not in events.headers


async def test_strangers_cost_the_database_nothing(closed: Node, database_url: str) -> None:
    """Who is not let in is answered before anything is read."""
    with sqlite3.connect(database_url.removeprefix("sqlite:///")) as connection:
        connection.execute("DROP TABLE jobs")
    for path in (JOB, f"{JOB}/events", "/api/fal-jobs", "/api/fal-jobs/events?group=g", f"{JOB}?wait=60"):
        for headers in ({}, {"Authorization": "Bearer wrong"}, bearer(expires_in=-1, sub="user-1")):
            assert (await closed.client.get(path, headers=headers)).status_code == 401
    assert json.loads((await closed.client.get(JOB, headers=ADMIN)).text)["code"] == "store_unavailable"


def test_a_short_secret_is_not_talked_of_twice(tmp_path: Path) -> None:
    """The server's log warns of it in our words; PyJWT's own warning would come past the log, with each worker."""
    made = _mint(tmp_path, "short", "--sub", "user-1")
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout.count(".") == 2


def test_the_command_makes_no_token_that_would_not_be_taken(tmp_path: Path) -> None:
    """One line, and exit code 2."""
    for wrong in (["--group", "a\nb"], [part for place in range(200) for part in ("--job", f"{place:0200d}")]):
        refused = _mint(tmp_path, SECRET, *wrong)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr.startswith("hookcast: ")
        assert refused.stderr.count("\n") == 1


def _mint(folder: Path, secret: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hookcast", "token", *arguments]
    environment = {**os.environ, "HOOKCAST_TOKEN_SECRET": secret}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
