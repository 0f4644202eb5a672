"""Busy requests bypass the router: each is answered as it would be through it."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from hookcast.routes.entry import Busy
from support.access import API_KEY, SECRET, token
from support.fal import FalDouble, sign
from support.server import Node, running_node

pytestmark = pytest.mark.anyio
APP, STRANGER = "https://app.example", "https://evil.example"
SETTINGS = {"api_keys": API_KEY, "token_secret": SECRET, "allowed_origins": APP}
KEY = {"Authorization": f"Bearer {API_KEY}"}
OWNER = {"Authorization": f"Bearer {token(sub='user-1')}"}
OTHER = {"Authorization": f"Bearer {token(sub='user-2')}"}
JOB = {"Authorization": f"Bearer {token(jobs=['job-1'])}"}
CALLERS: dict[str, dict[str, str]] = {
    "key": KEY,
    "owner": OWNER,
    "another owner": OTHER,
    "job": JOB,
    "nobody": {},
    "expired": {"Authorization": f"Bearer {token(expires_in=-1, sub='user-1')}"},
    "wrong": {"Authorization": "Bearer a.b.c"},
    "another scheme": {"Authorization": "Basic eDp5"},
}
REQUESTS: dict[str, tuple[str, str]] = {
    "poll": ("GET", "/api/fal-jobs/job-1"),
    "poll of an unknown job": ("GET", "/api/fal-jobs/absent"),
    "long poll that is over": ("GET", "/api/fal-jobs/job-1?wait=1&version=0"),
    "wrong wait": ("GET", "/api/fal-jobs/job-1?wait=x"),
    "wrong id": ("GET", "/api/fal-jobs/a..b"),
    "encoded slash": ("GET", "/api/fal-jobs/a%2Fb"),
    "reserved id": ("GET", "/api/fal-jobs/refused"),
    "socket without an upgrade": ("GET", "/api/fal-jobs/ws"),
    "trailing slash": ("GET", "/api/fal-jobs/job-1/"),
    "deeper": ("GET", "/api/fal-jobs/job-1/events/more"),
    "stream": ("GET", "/api/fal-jobs/job-1/events"),
    "stream of an unknown job": ("GET", "/api/fal-jobs/absent/events"),
    "stream of a reserved id": ("GET", "/api/fal-jobs/ws/events"),
    "ended stream": ("GET", "/api/fal-jobs/job-1/events?lastEventId=end"),
    "stream's head": ("HEAD", "/api/fal-jobs/job-1/events"),
    "stream by POST": ("POST", "/api/fal-jobs/job-1/events"),
    "stream of nothing": ("GET", "/api/fal-jobs/events"),
    "stream of a wrong name": ("GET", "/api/fal-jobs/events?requestId=a..b"),
    "wrong since": ("GET", "/api/fal-jobs/events?all=1&since=x"),
    "preflight": ("OPTIONS", "/api/fal-jobs/job-1/events"),
    "webhook by GET": ("GET", "/api/webhooks/fal"),
    "unsigned webhook": ("POST", "/api/webhooks/fal"),
}
ASKED = {"Access-Control-Request-Method": "GET"}
OWN = frozenset({"date", "x-request-id"})  # headers of each response alone


@pytest.fixture
async def nodes(
    fal: FalDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> AsyncIterator[list[Node]]:
    """One node as it is, and one whose requests all go through the router."""
    settings = getattr(request, "param", SETTINGS)
    async with AsyncExitStack() as stack:
        found = []
        for name in ("entry", "router"):
            url = f"sqlite:///{tmp_path / name}.db"
            found.append(await stack.enter_async_context(running_node(fal, database_url=url, **settings)))
            monkeypatch.setattr("hookcast.app._busy", lambda: Busy({}, {}))
        for node in found:
            registered = await node.client.put("/api/fal-jobs/job-1", json={"owner": "user-1"}, headers=KEY)
            assert registered.status_code == 201
        yield found


async def seen(node: Node, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> tuple[Any, ...]:
    """What a client sees, but for what differs between any two responses; of a stream only its head."""
    async with node.client.stream(method, path, headers=headers, content=body) as answer:
        found = {name: text for name, text in answer.headers.items() if name not in OWN}
        if found.get("content-type", "").startswith("text/event-stream"):
            return answer.status_code, found
        content = await answer.aread()
    if found.get("content-type") == "application/json" and answer.status_code == 200:
        return (
            answer.status_code,
            {**found, "content-length": ""},
            {**json.loads(content), "createdAt": "", "updatedAt": ""},
        )
    return answer.status_code, found, content


@pytest.mark.parametrize("request_", REQUESTS)
async def test_the_answer_is_the_routers(nodes: list[Node], request_: str) -> None:
    """Its status, headers and body, for each caller, with and without an origin."""
    method, path = REQUESTS[request_]
    for caller in CALLERS.values():
        for origin in (None, APP, STRANGER):
            headers = {**caller, **({"Origin": origin} if origin else {}), **(ASKED if method == "OPTIONS" else {})}
            answers = [await seen(node, method, path, headers) for node in nodes]
            assert answers[0] == answers[1], (caller, origin)


@pytest.mark.parametrize("nodes", [SETTINGS, {}, {**SETTINGS, "allowed_origins": "*"}], indirect=True)
async def test_pages_may_read_what_the_router_would_let_them_read(nodes: list[Node]) -> None:
    """Of a server that is open, that names origins, and that allows all."""
    for origin in (None, APP, STRANGER, "null", "http://localhost:3000", "http://127.0.0.1", "http://127.0.0.2"):
        for path in ("/api/fal-jobs/job-1", "/api/fal-jobs/job-1/events", "/api/fal-jobs/absent?wait=0"):
            headers = KEY if origin is None else {**KEY, "Origin": origin}
            answers = [await seen(node, "GET", path, headers) for node in nodes]
            assert answers[0] == answers[1], (origin, path)


async def test_a_webhook_is_accepted_as_by_the_router(nodes: list[Node], fal: FalDouble) -> None:
    body = fal.webhook("job-1")
    signed = dict(sign(body, fal.key))
    answers = [await seen(node, "POST", "/api/webhooks/fal", signed, body) for node in nodes]
    assert answers[0] == answers[1]
    assert answers[0][0] == 200


async def test_a_crash_is_a_problem_document_too(nodes: list[Node], monkeypatch: pytest.MonkeyPatch) -> None:
    """With the CORS headers that let the page read it."""

    def crash(*_: object) -> None:
        raise ZeroDivisionError

    answers = []
    for node in nodes:
        monkeypatch.setattr(node.services.store, "outline", crash)
        answers.append(await seen(node, "GET", "/api/fal-jobs/job-1", {**KEY, "Origin": APP}))
    assert answers[0] == answers[1]
    assert (answers[0][0], json.loads(answers[0][2])["code"]) == (500, "internal_error")


async def test_a_crash_says_that_the_connection_closes(nodes: list[Node], monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no client sends its next request into a closed one."""

    def crash(*_: object) -> None:
        raise ZeroDivisionError

    for node in nodes:
        monkeypatch.setattr(node.services.store, "outline", crash)
        answer = await node.client.get("/api/fal-jobs/job-1", headers=KEY)
        assert (answer.status_code, answer.headers["connection"]) == (500, "close")
