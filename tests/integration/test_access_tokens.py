"""Tokens: who gets which, how secrets are rotated, and what is said of those that are refused."""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from support.access import ADMIN, API_KEY, SECRET, token
from support.closed import IDP, closing
from support.commands import hookcast
from support.fal import ENDPOINT, FalDouble
from support.server import Node, running_node, until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def closed(database_url: str, fal: FalDouble) -> AsyncIterator[Node]:
    """A server that asks for keys and tokens, with a job of user-1 in the group g."""
    async with closing(database_url, fal) as node:
        yield node


async def test_submit_answers_with_a_token_for_its_job(closed: Node) -> None:
    """It shows that job, and no other."""
    body = {"endpointId": ENDPOINT, "input": {}}
    submitted = (await closed.client.post("/api/fal-jobs", json=body, headers=ADMIN)).json()
    headers = {"Authorization": f"Bearer {submitted['token']}"}
    assert submitted["expiresAt"].endswith("Z")
    assert (await closed.client.get(submitted["links"]["status"], headers=headers)).status_code == 200
    assert (await closed.client.get("/api/fal-jobs/job-1", headers=headers)).status_code == 404


async def test_minted_tokens_show_what_was_asked_for(closed: Node) -> None:
    """Until the time that was asked for."""
    for rights in ({"sub": "user-1"}, {"jobs": ["job-1"]}, {"groups": ["g"]}):
        minted = await closed.client.post("/api/tokens", json={**rights, "expiresIn": 60}, headers=ADMIN)
        headers = {"Authorization": f"Bearer {minted.json()['token']}"}
        assert (await closed.client.get("/api/fal-jobs/job-1", headers=headers)).status_code == 200


@pytest.mark.parametrize("body", [{}, {"sub": ""}, {"jobs": []}, {"sub": "u", "expiresIn": 0}, {"sub": "u", "x": 1}])
async def test_a_token_for_nothing_is_not_made(closed: Node, body: dict[str, Any]) -> None:
    """It would only look like access."""
    answer = await closed.client.post("/api/tokens", json=body, headers=ADMIN)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_a_secret_is_rotated_without_a_token_lost(database_url: str, fal: FalDouble, tmp_path: Path) -> None:
    """The first signs, on the server and on the command line; tokens of the old one are taken until they expire."""
    new = "new-secret-of-the-tokens-9876543210-zyxwv"
    before, both, after = ({"api_keys": API_KEY, "token_secret": text} for text in (SECRET, f"{new}, {SECRET}", new))
    async with running_node(fal, database_url=database_url, **before) as node:
        await node.client.put("/api/fal-jobs/job-1", json={"owner": "user-1"}, headers=ADMIN)
        old = await _mint(node)
    async with running_node(fal, database_url=database_url, **both) as node:
        made = await hookcast(tmp_path, "token", "--sub", "user-1", HOOKCAST_TOKEN_SECRET=both["token_secret"])
        young = [await _mint(node), made.out.strip()]
        assert [await _sees(node, each) for each in (old, *young)] == [200, 200, 200]
    async with running_node(fal, database_url=database_url, **after) as node:
        assert [await _sees(node, each) for each in (old, *young)] == [401, 200, 200]


async def _mint(node: Node) -> str:
    answer = await node.client.post("/api/tokens", json={"sub": "user-1"}, headers=ADMIN)
    return str(answer.json()["token"])


async def _sees(node: Node, credential: str) -> int:
    answer = await node.client.get("/api/fal-jobs/job-1", headers={"Authorization": f"Bearer {credential}"})
    return answer.status_code


async def test_without_a_secret_no_token_is_made(database_url: str, fal: FalDouble) -> None:
    """Keys alone: a plain answer. Nothing at all: null, as in a submit, so that the same code runs in development."""
    async with running_node(fal, database_url=database_url, api_keys=API_KEY) as node:
        answer = await node.client.post("/api/tokens", json={"sub": "u"}, headers=ADMIN)
        assert (answer.status_code, answer.json()["code"]) == (409, "no_token_secret")
    async with running_node(fal, database_url=database_url) as node:
        answer = await node.client.post("/api/tokens", json={"sub": "u"})
        assert (answer.status_code, answer.json()) == (201, {"token": None, "expiresAt": None})


@pytest.mark.parametrize("header", ["Basic dXNlcjpwYXNz", "Bearer", API_KEY])
async def test_an_authorization_header_of_another_kind_is_refused(closed: Node, header: str) -> None:
    """Even beside a good `?token=`: what is sent must hold."""
    url = f"/api/fal-jobs/job-1?token={token(sub='user-1')}"
    answer = await closed.client.get(url, headers={"Authorization": header})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


async def test_a_provider_that_is_away_is_told(closed: Node) -> None:
    """503 for its users' tokens; everything else goes on."""
    closed.fal.down = True
    headers = {"Authorization": f"Bearer {IDP.token()}"}
    answer = await closed.client.get("/api/fal-jobs/job-1", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (503, "keys_unavailable")
    assert (await closed.client.get("/api/fal-jobs/job-1", headers=ADMIN)).status_code == 200


async def test_a_refused_token_is_logged_with_its_reason(closed: Node) -> None:
    """Over HTTP, SSE and WebSocket, in the URL, in a header or in a message; the token itself is not."""
    text = IDP.token(aud="somebody else")
    url = f"ws{closed.url[4:]}/api/fal-jobs/ws"
    with capture_logs() as lines:
        await closed.client.get("/api/fal-jobs/job-1", headers={"Authorization": f"Bearer {text}"})
        await closed.client.get(f"/api/fal-jobs/job-1/events?token={text}")
        for address, first in ((f"{url}?token={text}", None), (url, {"type": "subscribe", "token": text})):
            with contextlib.suppress(ConnectionClosed):
                async with connect(address, proxy=None) as client:
                    if first:
                        await client.send(json.dumps({**first, "requestIds": ["job-1"]}))
                    await client.recv()
    told = [line for line in lines if line["event"] == "token_refused"]
    assert [(line["reason"], line["audience"]) for line in told] == [("wrong_audience", "somebody else")] * 4
    assert not any(part in str(lines) for part in text.split("."))


async def test_a_stream_ends_with_its_token(closed: Node) -> None:
    """On a real connection, and a reconnect with the same token is refused."""
    short = token(expires_in=2, jobs=["job-1"])
    url = f"/api/fal-jobs/job-1/events?token={short}"
    async with closed.client.stream("GET", url) as answer:
        lines = [line async for line in answer.aiter_lines()]
    assert "event: token-expiring" in lines
    assert (await closed.client.get(url)).json()["code"] == "token_expired"
    await until(lambda: not closed.engine.admission.streams)
