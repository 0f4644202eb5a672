"""For how long a connection may keep the server waiting, with real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from hookcast.routes.bodies import Pace
from hookcast.serving import Deadlines
from support.fal import FalDouble
from support.loops import on_both_loops
from support.raw import UPGRADE, Raw, events, fall_behind, get, raw
from support.requests import UNFINISHED, of_strangers, post, refused, webhook
from support.server import Node, running_node, until

pytestmark = [pytest.mark.anyio, on_both_loops]
QUICK = Deadlines(head=1.5, keep_alive=0.2, ignored=0.2, unread=0.2)  # a busy machine sends a whole head in time


@pytest.fixture
async def quick(database_url: str, fal: FalDouble) -> AsyncIterator[Node]:
    """A server without patience."""
    async with running_node(fal, database_url=database_url, deadlines=QUICK) as running:
        yield running


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
    await until(lambda: not of_strangers(quick))


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
        await client.send(get("/api/fal-jobs/job-1?wait=2.5&version=1") + UNFINISHED)
        await client.until(b'"version":1')
        await client.send(b"\r\n")
        await client.until(b'"status":"ok"}')


async def test_an_open_stream_needs_no_further_word_of_its_client(quick: Node) -> None:
    """All the deadlines end with the hand-over."""
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        for request, answered in ((events("job-1"), b"retry: "), (UPGRADE, b"\r\n\r\n")):
            client = await stack.enter_async_context(raw(quick))
            await client.send(request)
            await client.until(answered)
        late = loop.time() + 2 * QUICK.head
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
    await until(lambda: not of_strangers(node))


async def test_a_slow_and_honest_upload_has_the_time_it_needs(node: Node) -> None:
    """Each second's worth of bytes is a second more."""
    node.services.uploads.pace = Pace(seconds=1, rate=1000, silence=60)
    loop = asyncio.get_running_loop()
    body = json.dumps({"endpointId": "fal-ai/flux/dev", "input": {"prompt": "x" * 10_000}}).encode()
    async with raw(node) as client:
        await client.send(post("/api/fal-jobs", b"", length=len(body)))
        for start in range(0, len(body), 2500):
            await client.send(body[start : start + 2500])
            soon = loop.time() + 0.3
            await until(lambda: loop.time() > soon)  # noqa: B023
        await client.until(b"HTTP/1.1 ")
        assert b"HTTP/1.1 502 " in client.seen  # of the double, which knows no such endpoint


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
    await until(lambda: not of_strangers(quick))


async def test_a_stream_behind_an_unread_answer_has_the_time_of_a_stream(database_url: str, fal: FalDouble) -> None:
    """What an answer may take counts no longer once the stream has the connection."""
    loop, deadlines = asyncio.get_running_loop(), Deadlines(unread=2.0)
    async with (
        running_node(fal, database_url=database_url, deadlines=deadlines) as node,
        raw(node, small=True) as client,
    ):
        await fall_behind(node, client)
        await client.send(events("job-1"))
        await until(lambda: any(getattr(stream, "transport", None) for stream in node.engine.admission.streams))
        late = loop.time() + 1.2 * deadlines.unread
        await until(lambda: loop.time() > late)
        await client.until(b"retry: ")


async def test_a_client_that_does_not_read_its_answer_is_cut_off(quick: Node) -> None:
    """Whether the connection is to end after it or not."""
    await quick.post_webhook(quick.fal.webhook("big", payload={"pad": "x" * 8_000_000}))
    for header in ("X: x", "Connection: close"):
        async with raw(quick, small=True) as client:
            await client.send(get("/api/fal-jobs/big", header))
            await until(lambda: any(_unread(connection) for connection in of_strangers(quick)))
            await until(lambda: not any(_unread(connection) for connection in of_strangers(quick)))
            await client.rest()
            assert len(client.seen) < 8_000_000


async def test_a_client_that_reads_its_answer_slowly_gets_it_all(database_url: str, fal: FalDouble) -> None:
    """What it takes gives it more time; the kernel tells of it in large portions."""
    loop, deadlines = asyncio.get_running_loop(), Deadlines(unread=4.0, keep_alive=0.1)
    async with running_node(fal, database_url=database_url, deadlines=deadlines) as node:
        await node.post_webhook(fal.webhook("big", payload={"pad": "x" * 16_000_000}))
        async with raw(node) as client:
            await client.send(get("/api/fal-jobs/big"))
            late = loop.time() + 1.2 * deadlines.unread
            while loop.time() < late:
                await client.more()
                soon = loop.time() + 0.02
                await until(lambda: loop.time() > soon)  # noqa: B023
            await client.until(b'"completedAt"')
            assert len(client.seen) > 16_000_000


def _unread(connection: Any) -> int:
    return int(connection.transport.get_write_buffer_size())
