"""`X-Request-Id` and the access log: every answer names its request, and no line shows a token."""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from nacl.signing import SigningKey
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from hookcast.errors import StoreUnavailable
from hookcast.logs.requests import with_request_id
from support.access import API_KEY, SECRET, token
from support.fal import FalDouble, sign
from support.raw import raw
from support.served import Served
from support.server import Node, running_node, until

pytestmark = pytest.mark.anyio
MADE = re.compile(r"[0-9a-f]{16}")
JOB = "019f6af7-5d0c-7e52-9f6e-0d9a3c1b2e4f"
KEYS = {"api_keys": API_KEY, "token_secret": SECRET}


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


def of(lines: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    """Return the lines of one event."""
    return [line for line in lines if line["event"] == event]


async def exchange(node: Node, request: str) -> str:
    """Return what a connection gets for a request, until the server closes it."""
    async with raw(node) as client:
        await client.send(request.encode())
        while await client.more():
            pass
        return client.seen.decode()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("GET", "/api/fal-jobs/nothing", 404),
        ("GET", "/no/such/page", 404),
        ("PATCH", "/api/fal-jobs", 405),
        ("POST", "/api/webhooks/fal", 401),
        ("PUT", "/api/fal-jobs/job-1", 201),
        ("GET", "/api/fal-jobs/ws", 426),
        ("GET", "/", 200),
    ],
)
async def test_every_answer_has_the_requests_id(node: Node, method: str, path: str, status: int) -> None:
    """The client's, or one that is made."""
    for given in ({"X-Request-Id": "abc-123_./:+=@"}, {}):
        answer = await node.client.request(method, path, headers=given)
        assert answer.status_code in {status, 200}
        found = answer.headers.get_list("x-request-id")
        assert found == list(given.values()) or (not given and MADE.fullmatch(found[0]))


@pytest.mark.parametrize("given", ["", "a b", "a" * 129, 'x"', "ä", "eyJhbGciOiJIUzI1NiJ9", API_KEY])
async def test_an_id_that_cannot_be_shown_is_replaced(database_url: str, fal: FalDouble, given: str) -> None:
    async with running_node(fal, database_url=database_url, **KEYS) as node:
        answer = await node.client.get("/healthz", headers={b"X-Request-Id": given.encode()})
        assert MADE.fullmatch(answer.headers["x-request-id"])


async def test_a_crash_answers_and_logs_with_the_id(
    node: Node, lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a webhook's with fal's request id as well."""
    body = node.fal.webhook("job-1")
    monkeypatch.setattr(node.services.dispatcher, "apply", None)
    signed = sign(body, node.fal.key, request_id=JOB)
    answer = await node.client.post("/api/webhooks/fal", content=body, headers={**signed, "X-Request-Id": "mine"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "mine")
    (line,) = of(lines, "request_crashed")
    assert (line["http_request_id"], line["request_id"]) == ("mine", JOB)


async def test_a_stream_and_a_socket_have_the_id_in_their_heads(node: Node) -> None:
    await node.register("job-1")
    async with node.client.stream("GET", "/api/fal-jobs/job-1/events", headers={"X-Request-Id": "mine"}) as answer:
        assert answer.headers.get_list("x-request-id") == ["mine"]
    url = f"ws{node.url[4:]}/api/fal-jobs/ws"
    async with connect(url, proxy=None, additional_headers={"X-Request-Id": "mine"}) as client:
        assert client.response is not None
        assert client.response.headers.get_all("x-request-id") == ["mine"]
    with pytest.raises(InvalidStatus) as refused:
        await connect(url, proxy=None, subprotocols=[Subprotocol("other")], additional_headers={"X-Request-Id": "mine"})
    assert refused.value.response.headers.get_all("x-request-id") == ["mine"]


async def test_what_the_messages_of_a_socket_cause_is_logged_with_the_id_of_its_handshake(
    database_url: str, fal: FalDouble, lines: list[dict[str, Any]]
) -> None:
    """However long after it; and no other connection's."""
    async with running_node(fal, database_url=database_url, **KEYS) as node:
        url = f"ws{node.url[4:]}/api/fal-jobs/ws?token={token(jobs=['job-1'])}"
        for name in ("first", "second"):
            async with connect(url, proxy=None, additional_headers={"X-Request-Id": name}) as client:
                await client.send('{"type":"subscribe","requestIds":["job-1"],"token":"wrong"}')
                with pytest.raises(ConnectionClosed):
                    await client.recv()
    assert [line["http_request_id"] for line in of(lines, "token_refused")] == ["first", "second"]


async def test_what_the_server_refuses_by_itself_has_the_id(node: Node) -> None:
    for head in (
        "GET / HTTP/1.1\r\nX-Request-Id: mine\r\n",
        f"GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine\r\nX: {'x' * 70_000}\r\n",
    ):
        assert "\r\nx-request-id: mine\r\n" in await exchange(node, head + "\r\n")
    assert re.search(r"\r\nx-request-id: [0-9a-f]{16}\r\n", await exchange(node, "?\r\n\r\n"))


async def test_pages_of_allowed_origins_may_read_and_send_the_id(database_url: str, fal: FalDouble) -> None:
    page = {"Origin": "https://app.example"}
    async with running_node(fal, database_url=database_url, allowed_origins="https://app.example", **KEYS) as node:
        job = f"/api/fal-jobs/job-1?token={token(jobs=['job-1'])}"
        asked = await node.client.options(
            job,
            headers={**page, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "x-request-id"},
        )
        assert (asked.status_code, "x-request-id" in asked.headers["access-control-allow-headers"].lower()) == (
            200,
            True,
        )
        read = await node.client.get(job, headers=page)
        assert "X-Request-Id" in read.headers["access-control-expose-headers"]
        async with node.client.stream("GET", job.replace("?", "/events?"), headers=page) as stream:
            assert "X-Request-Id" in stream.headers["access-control-expose-headers"]


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("signature_invalid", {"x-fal-webhook-signature": "0" * 128}),
        ("signature_missing", {"x-fal-webhook-signature": ""}),
        ("timestamp_out_of_range", {"x-fal-webhook-timestamp": "1"}),
        ("too_large", {}),
        ("malformed", {}),
    ],
)
async def test_each_refused_webhook_is_logged_with_the_request_id_it_claims(
    database_url: str, fal: FalDouble, lines: list[dict[str, Any]], code: str, change: dict[str, str]
) -> None:
    async with running_node(fal, database_url=database_url, max_webhook_bytes=1024) as node:
        body = {"too_large": b"x" * 2000, "malformed": b"[]"}.get(code) or fal.webhook(JOB)
        answer = await node.post_webhook(body, {**sign(body, fal.key, request_id=JOB), **change})
        assert answer.json()["code"] == code
    (line,) = of(lines, "webhook_refused")
    assert (line["code"], line["request_id"], line["client"]) == (code, JOB, "127.0.0.1")
    assert line["http_request_id"] == answer.headers["x-request-id"]


async def test_a_webhook_that_the_database_cannot_take_is_logged_with_its_request_id(
    node: Node, lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them: they are fal's."""

    async def fail(*_: object, **__: object) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(node.services.dispatcher, "apply", fail)
    for number in range(8):
        assert (await node.post_webhook(node.fal.webhook(f"job-{number}"))).status_code == 503
    assert len(of(lines, "webhook_refused")) == 8
    assert all(line["request_id"] for line in of(lines, "webhook_refused"))


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
