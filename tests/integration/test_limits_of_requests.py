"""What a connection may send, and for how long it may keep the server waiting, with real sockets."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hookcast.routes.bodies import Pace
from hookcast.serving import Deadlines
from hookcast.serving.heads import MAX_HEAD_BYTES, MAX_HEADERS, MAX_URL_BYTES
from hookcast.serving.http import MAX_PIPELINED
from support.fal import FalDouble, forged
from support.loops import on_both_loops
from support.raw import UPGRADE, Raw, connections, events, fall_behind, get, raw
from support.server import Node, running_node, until

pytestmark = [pytest.mark.anyio, on_both_loops]
QUICK = Deadlines(head=0.2, keep_alive=0.2, ignored=0.2, unread=0.2)
UNFINISHED = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
async def quick(database_url: str, fal: FalDouble) -> AsyncIterator[Node]:
    """A server without patience."""
    async with running_node(fal, database_url=database_url, deadlines=QUICK) as running:
        yield running


def post(path: str, body: bytes, *headers: str, length: int | None = None) -> bytes:
    """A request with a body, or with a part of it."""
    size = len(body) if length is None else length
    return get(path, f"Content-Length: {size}", *headers, method="POST") + body


def webhook(*headers: str) -> bytes:
    """The head of a webhook that looks like fal's, as anybody can make it."""
    return get("/api/webhooks/fal", *(f"{name}: {value}" for name, value in forged().items()), *headers, method="POST")


async def refused(client: Raw, status: int, code: str) -> None:
    """The connection ends with this problem, and says so."""
    seen = await client.rest()
    head, _, body = seen.rpartition(b"HTTP/1.1 ")[2].partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert lines[0].startswith(str(status))
    assert "connection: close" in lines
    assert "content-type: application/problem+json" in lines
    assert json.loads(body)["code"] == code
    assert json.loads(body)["status"] == status


def url(size: int) -> str:
    """A path of so many characters."""
    return "/healthz?x=".ljust(size, "x")


@pytest.mark.parametrize(
    "request_",
    [
        get(url(MAX_URL_BYTES)),
        get("/healthz", "Cookie: " + "x" * (MAX_HEAD_BYTES - 100)),
        get("/healthz", *(f"X-{number}: x" for number in range(MAX_HEADERS - 1))),
    ],
    ids=["url", "header", "headers"],
)
async def test_a_head_at_the_limit_is_taken(node: Node, request_: bytes) -> None:
    """In one piece and in many."""
    async with raw(node) as client:
        await client.send(request_)
        await client.until(b'"status":"ok"}')
        client.forget()
        for start in range(0, len(request_), 1000):
            await client.send(request_[start : start + 1000])
        await client.until(b'"status":"ok"}')


async def test_200_requestids_of_fals_and_a_token_fit_into_a_url(node: Node) -> None:
    """As a page has them that watches everything at once."""
    names = "&".join(f"requestId={uuid.uuid4()}" for _ in range(200))
    async with raw(node) as client:
        await client.send(get(f"/api/fal-jobs/events?{names}&token={'x' * 4000}"))
        await client.until(b"retry: ")
        assert client.seen.startswith(b"HTTP/1.1 200 ")


LARGE = {
    "url": (get(url(MAX_URL_BYTES + 1)), 414, "url_too_long"),
    "unfinished url": (b"GET " + b"/x" * MAX_URL_BYTES, 414, "url_too_long"),
    "header": (get("/healthz", "Cookie: " + "x" * MAX_HEAD_BYTES), 431, "headers_too_large"),
    "unfinished header": (UNFINISHED + b"X: " + b"x" * 400_000, 431, "headers_too_large"),
    "headers": (get("/healthz", *(f"X-{n}: x" for n in range(MAX_HEADERS))), 431, "headers_too_large"),
    "websocket": (UPGRADE[:-2] + b"X: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n", 431, "headers_too_large"),
    "websocket's key": (UPGRADE.replace(b"Sec-WebSocket-Key: ", b"Sec-WebSocket-Key: x"), 400, "bad_request"),
    "websocket's version": (UPGRADE.replace(b"Version: 13", b"Version: 8"), 400, "bad_request"),
    "websocket's method": (UPGRADE.replace(b"GET ", b"POST "), 400, "bad_request"),
    "websocket's url": (UPGRADE.replace(b"/ws", b"/ws?" + b"x" * MAX_URL_BYTES), 414, "url_too_long"),
    "websocket's body": (UPGRADE[:-2] + b"Content-Length: 1\r\n\r\nx", 400, "bad_request"),
    "no http": (b"\x16\x03\x01\x02\x00\x01", 400, "bad_request"),
}


@pytest.mark.parametrize("pieces", [1, 20])
@pytest.mark.parametrize("name", LARGE)
async def test_a_head_that_cannot_be_taken_is_a_problem_and_the_end(node: Node, name: str, pieces: int) -> None:
    """However it comes, also when it never ends, and after an earlier request."""
    data, status, code = LARGE[name]
    async with raw(node) as client:
        await client.send(get("/healthz"))
        await client.until(b'"status":"ok"}')
        size = -(-len(data) // pieces)
        for start in range(0, len(data), size):
            await client.send(data[start : start + size])
        await refused(client, status, code)
    await until(lambda: not _connections(node))


async def test_what_waits_for_its_turn_is_not_refused_with_words(node: Node) -> None:
    """They would be taken for the answer to the request before."""
    async with raw(node) as client:
        await client.send(get("/api/fal-jobs/job-1?wait=30") + get(url(MAX_URL_BYTES + 1)))
        assert await client.rest() == b""


async def test_a_request_right_behind_a_large_body_is_taken(node: Node) -> None:
    """What the parser has passed on does not count."""
    async with raw(node) as client:
        await client.send(post("/api/webhooks/fal", b"x" * 300_000) + get("/healthz") + UNFINISHED)
        await client.until(b'"status":"ok"}')
        await client.send(b"\r\n")
        await until_count(client, b'"status":"ok"}', 2)


async def until_count(client: Raw, mark: bytes, count: int) -> None:
    """Read until the mark has come so often."""
    while client.seen.count(mark) < count:
        assert await client.more()


async def test_pipelining_has_a_bound(node: Node) -> None:
    """A few dozen are answered in turn; each costs memory, and thousands fit into one packet."""
    async with raw(node) as client:
        await client.send(get("/healthz") * MAX_PIPELINED)
        await until_count(client, b'"status":"ok"}', MAX_PIPELINED)
        await client.send(get("/healthz") * 2000)
        assert len(await client.rest()) < 100_000


async def test_a_body_whose_frame_grows_without_content_is_refused(node: Node) -> None:
    """Trailers and chunk extensions are read by nobody, and kept by the parser."""
    start = webhook("Transfer-Encoding: chunked")
    for part in (b"0\r\nX: " + b"x" * 400_000, b"1;" + b"x" * 400_000):
        async with raw(node) as client:
            await client.send(start)
            for piece in range(0, len(part), 40_000):
                await client.send(part[piece : piece + 40_000])
            await refused(client, 431, "headers_too_large")


async def test_a_client_that_says_nothing_is_cut_without_a_word(quick: Node) -> None:
    """A browser opens connections ahead, and takes any word for an answer."""
    async with raw(quick) as client:
        assert await client.rest() == b""


@pytest.mark.parametrize("start", [b"GET /", UNFINISHED], ids=["method", "headers"])
async def test_a_head_that_does_not_come_to_its_end_is_a_408(quick: Node, start: bytes) -> None:
    """Each byte that still comes gives no more time."""
    async with raw(quick) as client:
        await client.send(start)
        dribbling = asyncio.ensure_future(dribble(client, b"x"))
        await refused(client, 408, "request_timeout")
        dribbling.cancel()
        await asyncio.gather(dribbling, return_exceptions=True)
    await until(lambda: not _connections(quick))


async def dribble(client: Raw, data: bytes) -> None:
    """Send it again and again."""
    while True:
        await client.send(data)
        await asyncio.sleep(0.01)


async def test_a_kept_connection_ends_when_nothing_comes(quick: Node) -> None:
    """Line breaks between requests are nothing (RFC 9112 section 2.2)."""
    for noise in (b"", b"\r\n"):
        async with raw(quick) as client:
            await client.send(get("/healthz"))
            await client.until(b'"status":"ok"}')
            dribbling = asyncio.ensure_future(dribble(client, noise)) if noise else None
            assert (await client.rest()).count(b"HTTP/1.1") == 1
            if dribbling is not None:
                dribbling.cancel()
                await asyncio.gather(dribbling, return_exceptions=True)


async def test_half_a_request_behind_one_that_is_being_answered_may_wait(quick: Node) -> None:
    """The server is what it waits for, so the time counts from the answer."""
    await quick.register("job-1")
    async with raw(quick) as client:
        await client.send(get("/api/fal-jobs/job-1?wait=0.6&version=1") + UNFINISHED)
        await client.until(b'"version":1')
        await client.send(b"\r\n")
        await client.until(b'"status":"ok"}')


async def test_an_open_stream_needs_no_further_word_of_its_client(quick: Node) -> None:
    """All the deadlines end with the hand-over."""
    loop = asyncio.get_running_loop()
    async with raw(quick) as sse, raw(quick) as websocket:
        await sse.send(events("job-1"))
        await sse.until(b"retry: ")
        await websocket.send(UPGRADE)
        await websocket.until(b"\r\n\r\n")
        late = loop.time() + 3 * QUICK.head
        await until(lambda: loop.time() > late)
        assert len(quick.engine.admission.streams) == 2


async def test_a_body_that_dribbles_is_a_408(node: Node) -> None:
    """Past the first seconds it must come with some speed; and then the connection ends."""
    node.services.webhooks.pace = Pace(seconds=0.2, rate=16 * 1024, silence=60)
    async with raw(node) as client:
        await client.send(webhook("Content-Length: 10000"))
        dribbling = asyncio.ensure_future(dribble(client, b"x"))
        await client.until(b'"body_timeout"')
        dribbling.cancel()
        await asyncio.gather(dribbling, return_exceptions=True)
    await until(lambda: not _connections(node))


async def test_a_slow_and_honest_upload_has_the_time_it_needs(node: Node) -> None:
    """Each second's worth of bytes is a second more."""
    node.services.uploads.pace = Pace(seconds=0.2, rate=10_000, silence=60)
    loop = asyncio.get_running_loop()
    body = json.dumps({"endpointId": "fal-ai/flux/dev", "input": {"prompt": "x" * 10_000}}).encode()
    async with raw(node) as client:
        await client.send(post("/api/fal-jobs", b"", length=len(body)))
        for start in range(0, len(body), 2500):
            await client.send(body[start : start + 2500])
            soon = loop.time() + 0.1
            await until(lambda: loop.time() > soon)  # noqa: B023
        await client.until(b"HTTP/1.1 ")
        assert b"408" not in client.seen


async def test_the_rest_of_a_refused_body_is_read_and_the_connection_goes_on(node: Node) -> None:
    """When it comes soon; nothing of it is kept."""
    for framing in (f"Content-Length: {40_000_000}", "Transfer-Encoding: chunked"):
        async with raw(node) as client:
            await client.send(webhook(framing))
            chunk = b"x" * 1_000_000 if "Length" in framing else b"f4240\r\n" + b"x" * 1_000_000 + b"\r\n"
            for _ in range(40):
                await client.send(chunk)
            await client.send(b"0\r\n\r\n" if "chunked" in framing else b"")
            await client.until(b'"too_large"')
            await client.send(get("/healthz"))
            await client.until(b'"status":"ok"}')


async def test_a_refused_body_that_does_not_end_is_cut(quick: Node) -> None:
    """In time, and in size."""
    endless = webhook(f"Content-Length: {10**12}")
    async with raw(quick) as client:
        await client.send(endless)
        await client.until(b'"too_large"')
        dribbling = asyncio.ensure_future(dribble(client, b"x"))
        await client.rest()
        dribbling.cancel()
        await asyncio.gather(dribbling, return_exceptions=True)
    await until(lambda: not _connections(quick))


async def test_a_refused_body_has_a_size(node: Node) -> None:
    """Twice the default of what is taken."""
    async with raw(node) as client:
        await client.send(webhook(f"Content-Length: {10**12}"))
        await client.until(b'"too_large"')
        with pytest.raises(ConnectionError):
            await client.send(b"x" * 200_000_000)


async def test_a_client_that_asks_first_is_told_and_the_connection_ends(database_url: str, fal: FalDouble) -> None:
    """At once: nobody could tell whether the body or another request comes next (RFC 9110 section 10.1.1)."""
    async with (
        running_node(fal, database_url=database_url, deadlines=Deadlines(ignored=60)) as node,
        raw(node) as client,
    ):
        await client.send(webhook("Expect: 100-continue", f"Content-Length: {10**9}"))
        seen = await client.rest()
        assert b'"too_large"' in seen
        assert b"100 Continue" not in seen


async def test_a_stream_behind_an_unread_answer_has_the_time_of_a_stream(quick: Node) -> None:
    """What an answer may take counts no longer once the stream has the connection."""
    loop = asyncio.get_running_loop()
    async with raw(quick, small=True) as client:
        await fall_behind(quick, client)
        await client.send(events("job-1"))
        await until(lambda: any(getattr(stream, "transport", None) for stream in quick.engine.admission.streams))
        late = loop.time() + 4 * QUICK.unread
        await until(lambda: loop.time() > late)
        await client.until(b"retry: ")


async def test_a_client_that_does_not_read_its_answer_is_cut_off(quick: Node) -> None:
    """Whether the connection is to end after it or not."""
    await quick.post_webhook(quick.fal.webhook("big", payload={"pad": "x" * 8_000_000}))
    for header in ("X: x", "Connection: close"):
        async with raw(quick, small=True) as client:
            await client.send(get("/api/fal-jobs/big", header))
            await until(lambda: any(_unread(connection) for connection in _connections(quick)))
            await until(lambda: not any(_unread(connection) for connection in _connections(quick)))
            await client.rest()
            assert len(client.seen) < 8_000_000


async def test_a_client_that_reads_its_answer_slowly_gets_it_all(database_url: str, fal: FalDouble) -> None:
    """What it takes gives it more time; the kernel tells of it in large portions."""
    loop, deadlines = asyncio.get_running_loop(), Deadlines(unread=0.5, keep_alive=0.1)
    async with running_node(fal, database_url=database_url, deadlines=deadlines) as node:
        await node.post_webhook(fal.webhook("big", payload={"pad": "x" * 16_000_000}))
        async with raw(node) as client:
            await client.send(get("/api/fal-jobs/big"))
            late = loop.time() + 3 * deadlines.unread
            while loop.time() < late:
                await client.more()
                soon = loop.time() + 0.005
                await until(lambda: loop.time() > soon)  # noqa: B023
            await client.until(b'"completedAt"')
            assert len(client.seen) > 16_000_000


def _connections(node: Node) -> list[Any]:
    """Connections that are no streams; not those of the test's own HTTP client."""
    return [each for each in connections(node) if _peer(each) not in _own(node)]


def _peer(connection: Any) -> Any:
    transport = connection.transport
    return None if transport is None else transport.get_extra_info("peername")


def _own(node: Node) -> set[Any]:
    pool = node.client._transport._pool  # type: ignore[attr-defined]
    return {each._connection._network_stream.get_extra_info("client_addr") for each in pool.connections}


def _unread(connection: Any) -> int:
    return int(connection.transport.get_write_buffer_size())
