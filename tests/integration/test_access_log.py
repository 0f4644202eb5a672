"""The access log: a line for each answer, and no line shows a token."""

import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from nacl.signing import SigningKey
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from hookcast.logs.requests import with_request_id
from support.access import API_KEY, SECRET, token
from support.fal import FalDouble, sign
from support.logged import JOB, KEYS, exchange, of
from support.served import Served
from support.server import Node, running_node, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    """The log's lines, with what the log adds to them."""
    found: list[dict[str, Any]] = []

    def keep(_logger: object, level: str, line: Any) -> Any:
        found.append({**line, "level": level})
        raise structlog.DropEvent

    structlog.configure(
        processors=[with_request_id, keep], wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING)
    )
    yield found
    structlog.reset_defaults()


async def test_the_access_log_has_a_line_for_each_answer(
    database_url: str, fal: FalDouble, lines: list[dict[str, Any]]
) -> None:
    """Whatever the level of the log; behind a trusted proxy with the client's address."""
    async with running_node(fal, database_url=database_url, access_log=True, **KEYS) as node:
        answer = await node.client.get(
            f"/api/fal-jobs/{JOB}?wait=0",
            headers={"Authorization": f"Bearer {API_KEY}", "X-Forwarded-For": "203.0.113.7", "X-Request-Id": "mine"},
        )
        (line,) = of(lines, "request")
        assert line.pop("ms") >= 0
        assert line == {
            "event": "request",
            "level": "info",
            "method": "GET",
            "path": f"/api/fal-jobs/{JOB}",
            "status": 404,
            "bytes": len(answer.content),
            "client": "203.0.113.7",
            "http_request_id": "mine",
            "request_id": JOB,
        }
        await exchange(node, "GET /x HTTP/1.1\r\nX-Request-Id: mine\r\n\r\n")  # without Host
        assert [line["status"] for line in of(lines, "request")] == [404, 400]


async def test_a_stream_is_logged_when_it_opens_and_when_it_closes(
    database_url: str, fal: FalDouble, lines: list[dict[str, Any]]
) -> None:
    """With the reason."""
    async with running_node(fal, database_url=database_url, access_log=True) as node:
        await node.register(JOB)
        async with node.events(JOB) as told:
            await anext(told)
            assert [(line["status"], line["path"]) for line in of(lines, "request")][1:] == [
                (200, f"/api/fal-jobs/{JOB}/events")
            ]
            assert of(lines, "stream_closed") == []
        await until(lambda: of(lines, "stream_closed"))
        await node.post_webhook(fal.webhook(JOB))
        async with node.events(JOB) as told:
            assert [event.event async for event in told] == ["job", "end"]
        async with connect(f"ws{node.url[4:]}/api/fal-jobs/ws", proxy=None) as client:
            await client.send("{")
            assert json.loads(await client.recv())["code"] == "bad_message"
            await client.wait_closed()
        await until(lambda: len(of(lines, "stream_closed")) == 3)
    assert [line["why"] for line in of(lines, "stream_closed")] == ["client", "ended", "bad_message"]
    opened = [line for line in of(lines, "request") if line["path"].endswith(("/events", "/ws"))]
    assert [line["status"] for line in opened] == [200, 200, 101]
    assert [line["http_request_id"] for line in opened] == [
        line["http_request_id"] for line in of(lines, "stream_closed")
    ]


async def test_switched_off_there_is_no_access_log(node: Node, lines: list[dict[str, Any]]) -> None:
    await node.client.get("/healthz")
    assert of(lines, "request") == []


async def test_no_line_shows_a_token_wherever_a_client_puts_one(tmp_path: Path) -> None:
    """In every part of a request, to every route, right and wrong ones: in the log of a real process."""
    secrets = [
        API_KEY,
        SECRET,
        token(sub="user-1"),
        token(sub="user-1", expires_in=-60),
        "3f9a1c77be2d40e8a6651b0c9d27f4e1",
    ]
    settings = {
        **KEYS,
        "database_url": f"sqlite:///{tmp_path / 'hookcast.db'}",
        "fal_jwks_url": "http://127.0.0.1:1/",
        "access_log": "on",
        "log_level": "debug",
    }
    server = Served(tmp_path, settings)
    try:
        await server.start()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=120) as client:
            for secret in secrets:
                await _try_everywhere(client, server.port, secret)
        assert await server.stop() == 0
    finally:
        await server.kill()
    log = server.log.read_text()
    records = [json.loads(line) for line in log.splitlines()]  # each line is one
    assert len(of(records, "request")) > 30 * len(secrets)
    assert all(secret not in log and secret.split(".")[-1] not in log for secret in secrets)


async def _try_everywhere(client: httpx.AsyncClient, port: int, secret: str) -> None:
    places: list[dict[str, str]] = [
        {"Authorization": f"Bearer {secret}"},
        {"Authorization": f"Basic {secret}"},
        {"Cookie": f"token={secret}", "Referer": f"https://app.example/?token={secret}", "User-Agent": secret},
        {"X-Forwarded-For": secret, "Origin": f"https://{secret}.example", "Last-Event-ID": secret},
        {"If-None-Match": f'"{secret}"', "Idempotency-Key": secret},
        {"X-Fal-Webhook-Signature": secret, "X-Fal-Webhook-User-Id": secret, "X-Fal-Webhook-Timestamp": secret},
        {"Host": secret[:60]},
    ]
    paths = ["/{0}", "/api/{0}", "/api/fal-jobs/{0}", "/api/fal-jobs/{0}/events", "/api/fal-jobs/token={0}/cancel"]
    paths += [
        "/api/fal-jobs/x{0}x",
        "/api/fal-jobs/%65{0}",
        "/api/fal-jobs/a?token={0}",
        "/api/fal-jobs/events?group={0}",
    ]
    paths += ["/api/fal-jobs/events?requestId=a&token={0}", "/api/webhooks/fal?submit={0}", "/{0}/" + "a/" * 20 + "{0}"]
    for path in paths:
        for method in ("GET", "POST", "PUT", "DELETE"):
            async with client.stream(method, path.format(secret)):
                pass
    for headers in places:
        for path in ("/api/fal-jobs", "/api/fal-jobs/a", "/api/fal-jobs/a/events"):
            async with client.stream("GET", path, headers=headers):
                pass
        await client.post("/api/webhooks/fal", headers=headers, content=secret)
    for attempt in (f"?token={secret}", ""):
        offered = [Subprotocol("hookcast.v1"), Subprotocol(f"token.{secret}")] if attempt else None
        async with connect(
            f"ws://127.0.0.1:{port}/api/fal-jobs/ws{attempt}", proxy=None, subprotocols=offered
        ) as socket:
            with suppress(ConnectionClosed):
                await socket.send(json.dumps({"type": "subscribe", "requestIds": ["a"], "token": secret}))
                await socket.recv()


async def test_a_secret_of_this_server_or_a_jwt_is_hidden_also_where_texts_are_shown(
    database_url: str, fal: FalDouble, lines: list[dict[str, Any]]
) -> None:
    """A webhook's claimed id, for example."""
    async with running_node(fal, database_url=database_url, **KEYS) as node:
        for secret in (API_KEY, SECRET, token(sub="user-1")):
            headers = sign(b"{}", SigningKey.generate(), request_id=secret)
            assert (await node.post_webhook(b"{}", headers)).status_code == 401
    assert {line["request_id"] for line in of(lines, "webhook_refused")} == {"…"}
