"""`X-Request-Id`: every answer and every line of the log names its request."""

import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from hookcast.errors import StoreUnavailable
from hookcast.logs.requests import with_request_id
from support.access import API_KEY, token
from support.fal import FalDouble, sign
from support.logged import JOB, KEYS, exchange, of
from support.server import Node, running_node

pytestmark = pytest.mark.anyio
MADE = re.compile(r"[0-9a-f]{16}")


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
