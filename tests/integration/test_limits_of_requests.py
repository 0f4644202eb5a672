"""What a connection may send, with real sockets."""

import uuid

import pytest

from hookcast.serving import Deadlines
from hookcast.serving.heads import MAX_HEAD_BYTES, MAX_HEADERS, MAX_URL_BYTES
from hookcast.serving.http import MAX_PIPELINED
from support.fal import FalDouble
from support.loops import on_both_loops
from support.raw import UPGRADE, Raw, get, raw
from support.requests import UNFINISHED, of_strangers, post, refused, webhook
from support.server import Node, running_node, until

pytestmark = [pytest.mark.anyio, on_both_loops]


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
    await until(lambda: not of_strangers(node))


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
