"""The same routes under an ASGI server that offers no hand-over: hypercorn."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from httpx_sse import aconnect_sse
from hypercorn.asyncio import serve
from hypercorn.config import Config
from pydantic import SecretStr
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from hookcast.app import create_app, make_admission
from hookcast.auth import Gate
from hookcast.serving.server import Server, Site, bind
from hookcast.settings import Settings
from support.access import SECRET, token
from support.fal import JWKS, FalDouble
from support.push import nothing_left, state
from support.raw import UPGRADE, events, raw, subscribe, versions
from support.server import DEADLINE, Node, services_of, until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def node(database_url: str, fal: FalDouble) -> AsyncIterator[Node]:
    """A node under hypercorn; it stops at the end, streams and all."""
    listener = bind("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    settings = Settings(database_url=SecretStr(database_url), fal_jwks_url=JWKS, max_streams=3, access_log=True)
    admission = make_admission(settings)
    app = create_app(settings, admission=admission, transport=fal)
    parts = services_of(app)
    server = Server(Site(app, listener), lambda: None)  # not run: hypercorn takes its place
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.graceful_timeout = 1  # it may hold on to a connection that was closed while it read
    stop = asyncio.Event()
    async with asyncio.timeout(DEADLINE * 2), asyncio.TaskGroup() as group:
        group.create_task(serve(app, config, shutdown_trigger=stop.wait))  # type: ignore[arg-type]
        async with httpx.AsyncClient(base_url=url, timeout=DEADLINE) as client:
            await until(lambda: parts)
            yield Node(url, client, fal, parts[0], server)
        admission.drain()
        stop.set()


def open_socket(node: Node) -> connect:
    """A client of the path."""
    return connect(f"ws{node.url[4:]}/api/fal-jobs/ws", proxy=None, subprotocols=[Subprotocol("hookcast.v1")])


async def test_sse_of_one_job(node: Node) -> None:
    """State first, then the new one, then `end` and the close."""
    await node.register("job-1")
    async with node.events("job-1") as told:
        assert (await anext(told)).json()["version"] == 1
        await node.post_webhook(node.fal.webhook("job-1"))
        assert [(event.event, event.id) async for event in told] == [("job", "2"), ("end", "end")]
    await until(lambda: nothing_left(node.engine))


async def test_every_answer_has_the_requests_id(node: Node) -> None:
    """Problems, streams, WebSocket handshakes and their refusals."""
    given = {"X-Request-Id": "mine"}
    assert (await node.client.get("/api/fal-jobs/nothing", headers=given)).headers["x-request-id"] == "mine"
    await node.register("job-1")
    async with node.client.stream("GET", "/api/fal-jobs/job-1/events", headers=given) as answer:
        assert answer.headers.get_list("x-request-id") == ["mine"]
    url = f"ws{node.url[4:]}/api/fal-jobs/ws"
    async with connect(url, proxy=None, additional_headers=given) as client:
        assert client.response is not None
        assert client.response.headers["x-request-id"] == "mine"
    with pytest.raises(InvalidStatus) as refused:
        await connect(url, proxy=None, subprotocols=[Subprotocol("other")], additional_headers=given)
    assert refused.value.response.headers["x-request-id"] == "mine"
    await until(lambda: nothing_left(node.engine))


async def test_the_access_log_has_the_opening_and_the_end_of_a_stream(node: Node) -> None:
    await node.register("job-1")
    with capture_logs() as lines:
        async with node.events("job-1") as told:
            await anext(told)
            assert [line["status"] for line in lines if line["event"] == "request"] == [200]
        await until(lambda: [line for line in lines if line["event"] == "stream_closed"])
    assert [line["event"] for line in lines if "why" in line or "status" in line] == ["request", "stream_closed"]


async def test_sse_of_many(node: Node) -> None:
    await node.register("job-1", group="g")
    async with aconnect_sse(node.client, "GET", "/api/fal-jobs/events?requestId=job-2&group=g") as source:
        told = source.aiter_sse()
        assert (await anext(told)).json()["requestId"] == "job-1"
        await node.register("job-2")
        assert (await anext(told)).json()["requestId"] == "job-2"
    await until(lambda: nothing_left(node.engine))


@pytest.mark.parametrize("query", ["owner=user-1", "all=1"])
async def test_sse_of_a_feed(node: Node, query: str) -> None:
    """What changes from then on."""
    async with aconnect_sse(node.client, "GET", f"/api/fal-jobs/events?{query}") as source:
        told = source.aiter_sse()
        await until(lambda: len(node.engine.hub))
        await node.register("job-1", owner="user-1")
        await node.post_webhook(node.fal.webhook("job-1"))
        assert [(await anext(told)).json()["version"] for _ in range(2)] == [1, 2]
    await until(lambda: nothing_left(node.engine))


async def test_websocket(node: Node) -> None:
    """Subscribe, states, unsubscribe, wrong messages; and what is too long."""
    await node.register("job-1")
    async with open_socket(node) as client:
        assert client.subprotocol == "hookcast.v1"
        await client.send(json.dumps({"type": "subscribe", "requestIds": ["job-1"]}))
        assert json.loads(await client.recv())["type"] == "subscribed"
        assert json.loads(await client.recv())["job"]["version"] == 1
        await node.post_webhook(node.fal.webhook("job-1"))
        assert json.loads(await client.recv())["job"]["version"] == 2
        await client.send("{")
        assert json.loads(await client.recv())["code"] == "bad_message"
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 4503
    async with open_socket(node) as client:
        await client.send("x" * 65_537)
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 1009
    await until(lambda: nothing_left(node.engine))


@pytest.mark.parametrize("kind", ["sse", "websocket"])
async def test_a_slow_reader_is_bounded_and_closed(node: Node, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one gets every state meanwhile."""
    monkeypatch.setattr("hookcast.push.stream.SLOW_SECONDS", 0.5)
    monkeypatch.setattr("hookcast.push.stream.CLOSE_SECONDS", 0.5)
    async with raw(node, small=True) as slow, raw(node) as other:
        for client in (slow, other):
            if kind == "sse":
                await client.send(events("job-1"))
                await client.until(b"retry: ")
            else:
                await client.send(UPGRADE)
                await client.until(b"\r\n\r\n")
                await client.send(subscribe("job-1"))
                await client.until(b"subscribed")
        version = 0
        while len(node.engine.admission.streams) == 2:
            version += 1
            node.engine.hub.deliver(state(version=version, pad=20_000))
            await other.until(b'"version":%d,' % version)
            assert all(stream.transport._size < 300_000 for stream in node.engine.admission.streams)  # type: ignore[attr-defined]
        assert versions(other.seen) == list(range(1, version + 1))
    await until(lambda: nothing_left(node.engine))


async def test_a_client_that_writes_and_never_reads_is_stopped(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers do not pile up; it is closed as a slow reader."""
    monkeypatch.setattr("hookcast.push.stream.SLOW_SECONDS", 0.5)
    monkeypatch.setattr("hookcast.push.stream.CLOSE_SECONDS", 0.5)
    async with raw(node, small=True) as client:
        await client.send(UPGRADE)
        await client.until(b"\r\n\r\n")
        flood = subscribe(*(f"job-{number}-{'x' * 150}" for number in range(200)))
        sending = asyncio.ensure_future(_flood(client, flood))
        await until(lambda: node.engine.admission.streams)
        while node.engine.admission.streams:
            await asyncio.sleep(0)
            assert all(stream.transport._size < 300_000 for stream in node.engine.admission.streams)  # type: ignore[attr-defined]
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    await until(lambda: nothing_left(node.engine))


async def _flood(client: object, data: bytes) -> None:
    while True:
        await client.send(data)  # type: ignore[attr-defined]


async def test_too_many_streams_are_refused(node: Node) -> None:
    """503 for SSE, and a refusal for WebSocket."""
    async with open_socket(node), open_socket(node), open_socket(node):
        assert (await node.client.get("/api/fal-jobs/job-1/events")).status_code == 503
        with pytest.raises(InvalidStatus) as caught:
            async with open_socket(node):
                pass
        assert caught.value.response.status_code in {403, 503}


async def test_a_drain_ends_the_streams_and_then_the_server(node: Node) -> None:
    """`retry:` or `reconnect` first; the fixture waits for the server's end while a client still holds on."""
    async with raw(node) as sse, open_socket(node) as client:
        await sse.send(events("job-1"))
        await sse.until(b"retry: ")
        node.engine.admission.drain()
        assert json.loads(await client.recv())["type"] == "reconnect"
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 1012
        await sse.until(b"0\r\n\r\n")
        assert sse.seen.count(b"retry: ") == 2
    await until(lambda: nothing_left(node.engine))


async def test_clients_that_leave_leave_nothing_behind(node: Node) -> None:
    """During the request, and later."""
    for number in range(30):
        client = raw(node)
        async with client as one:
            await one.send(UPGRADE if number % 3 == 0 else events("job-1"))
            if number % 2:
                await one.until(b"\r\n\r\n")
            one.cut()
        await until(lambda: nothing_left(node.engine))


async def test_streams_end_with_their_token(node: Node) -> None:
    """On this server, too: SSE by its end, WebSocket by its code; and a token that is over opens none."""
    await node.register("job-1")
    node.engine.gate = Gate(time.time, secrets=(SECRET,))
    short = token(expires_in=2, jobs=["job-1"])
    async with connect(f"ws{node.url[4:]}/api/fal-jobs/ws?token={short}", proxy=None) as client:
        async with node.client.stream("GET", f"/api/fal-jobs/job-1/events?token={short}") as answer:
            lines = [line async for line in answer.aiter_lines()]
        await client.wait_closed()
    assert "event: token-expiring" in lines
    assert client.close_code == 4502
    refused = await node.client.get(f"/api/fal-jobs/job-1/events?token={short}")
    assert (refused.status_code, refused.json()["code"]) == (401, "token_expired")
    await until(lambda: not node.engine.admission.streams)
