"""What clients may do to a connection that changes hands, on both event loops."""

import re

import pytest

from support.fal import FalDouble
from support.loops import on_both_loops
from support.push import nothing_left, state
from support.raw import UPGRADE, events, fall_behind, get, raw, subscribe, versions
from support.server import Node, running_node, until

pytestmark = [pytest.mark.anyio, on_both_loops]


async def test_a_request_behind_a_stream_is_not_answered_with_another_streams_bytes(node: Node) -> None:
    """The stream's end is the connection's end (RFC 9112 section 9.6)."""
    await node.register("job-1")
    await node.register("job-2")
    async with raw(node) as client:
        await client.send(events("job-1") + events("job-2") + get("/healthz"))
        await client.until(b'"job-1"')
        await node.post_webhook(node.fal.webhook("job-1"))
        seen = await client.rest()
    assert versions(seen) == [1, 2]
    assert seen.endswith(b"event: end\nid: end\ndata: {}\n\n")
    assert b"job-2" not in seen
    assert seen.count(b"HTTP/1.1") == 1
    await until(lambda: nothing_left(node.engine))


async def test_a_stream_behind_another_answer_works(node: Node) -> None:
    """Pipelined or on a connection that was kept."""
    await node.register("job-1")
    async with raw(node) as client:
        await client.send(get("/healthz") + events("job-1"))
        seen = await client.until(b'"job-1"')
        assert seen.count(b"HTTP/1.1 200") == 2
        await node.post_webhook(node.fal.webhook("job-1"))
        assert versions(await client.rest()) == [1, 2]


async def test_a_client_that_pipelines_and_leaves_leaves_nothing_behind(node: Node) -> None:
    """uvicorn tells only the last one of pipelined requests that the client has gone."""
    for _ in range(20):
        async with raw(node) as client:
            await client.send(events("job-1") + events("job-2"))
    assert (await node.client.get("/healthz")).status_code == 200
    await until(lambda: nothing_left(node.engine))


async def test_an_upgrade_behind_an_unanswered_request_is_refused(node: Node) -> None:
    """Two would have the connection; both are gone afterwards."""
    for first in (events("job-1"), get("/api/fal-jobs/job-1?wait=30")):
        async with raw(node) as client:
            await client.send(first + UPGRADE)
            await client.send(subscribe("job-2"))
            assert b"101 Switching" not in await client.rest()
    await until(lambda: not node.engine.admission.streams and "job:job-2" not in node.engine.hub)


async def test_a_stream_behind_an_answer_that_nobody_reads_waits(node: Node) -> None:
    """Its states replace one another until the client reads; then come the old answer, whole, and the newest state."""
    async with raw(node, small=True) as client:
        await fall_behind(node, client)
        await client.send(events("job-1"))
        await until(lambda: any(getattr(stream, "transport", None) for stream in node.engine.admission.streams))
        [stream] = node.engine.admission.streams
        transport = stream.transport  # type: ignore[attr-defined]
        before = transport.get_write_buffer_size()
        for version in range(1, 301):
            node.engine.hub.deliver(state(version=version, pad=50_000))
            assert transport.get_write_buffer_size() <= before + 1000
        await client.until(b'"version":300')
        assert len(re.findall(rb'"requestId":"job-1"', client.seen)) < 30


async def test_a_websocket_behind_an_answer_that_nobody_reads_knows_that_its_reader_is_behind(node: Node) -> None:
    """The 101 and the confirmation come after the whole answer, then the newest state."""
    await node.register("job-1")
    async with raw(node, small=True) as client:
        await fall_behind(node, client)
        await client.send(UPGRADE)
        await until(lambda: node.engine.admission.streams)
        [socket] = node.engine.admission.streams
        await client.send(subscribe("job-1"))
        await until(lambda: "job:job-1" in node.engine.hub)
        before = socket.transport.get_write_buffer_size()  # type: ignore[attr-defined]
        for version in range(2, 301):
            node.engine.hub.deliver(state(version=version, pad=50_000))
            assert socket.transport.get_write_buffer_size() <= before + 1000  # type: ignore[attr-defined]
        await client.until(b'"version":300')
        assert client.seen.index(b"101 Switching") < client.seen.index(b'"subscribed"')
        assert len(re.findall(rb'"requestId":"job-1"', client.seen)) < 30


async def test_head_has_the_headers_of_a_stream_and_keeps_the_connection(node: Node) -> None:
    """No length, since nobody knows it (RFC 9110 section 8.6)."""
    async with raw(node) as client:
        await client.send(get("/api/fal-jobs/job-1/events", method="HEAD") + get("/healthz"))
        seen = await client.until(b'{"')
    head = seen.split(b"\r\n\r\n")[0].lower()
    assert b"content-type: text/event-stream" in head
    assert b"content-length" not in head
    assert b"transfer-encoding" not in head
    assert nothing_left(node.engine)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_the_body_ends_with_the_connection(node: Node, version: str) -> None:
    """So that HTTP/1.0 clients and proxies understand it, too."""
    await node.post_webhook(node.fal.webhook("job-1"))
    async with raw(node) as client:
        await client.send(get("/api/fal-jobs/job-1/events", version=version))
        seen = await client.rest()
    head, body = seen.split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"connection: close" in head
    assert b"transfer-encoding" not in head
    assert body.startswith(b"retry: ")
    assert body.endswith(b"event: end\nid: end\ndata: {}\n\n")


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ("Content-Length: 200000", b"x" * 200_000),
        ("Transfer-Encoding: chunked", b"4\r\nabcd\r\n" * 10 + b"0\r\n\r\n"),
        ("Expect: 100-continue\r\nContent-Length: 4", b"abcd"),
    ],
)
async def test_a_body_on_the_request_is_of_no_interest(node: Node, header: str, body: bytes) -> None:
    """It neither disturbs the stream nor ends it."""
    async with raw(node) as client:
        await client.send(get("/api/fal-jobs/job-1/events", header))
        await client.send(body)
        await client.until(b"retry: ")
        await client.send(b"more of it")
        await node.post_webhook(node.fal.webhook("job-1"))
        assert versions(await client.rest()) == [1]


@pytest.mark.parametrize("kind", ["sse", "websocket"])
async def test_a_client_that_half_closes_has_left(node: Node, kind: str) -> None:
    """No client does so while it still listens."""
    async with raw(node) as client:
        await client.send(events("job-1") if kind == "sse" else UPGRADE)
        await client.until(b"retry: " if kind == "sse" else b"\r\n\r\n")
        if kind == "websocket":
            await client.send(subscribe("job-1"))
            await client.until(b"subscribed")
        client.sock.shutdown(1)
        await client.rest()
    await until(lambda: nothing_left(node.engine))


async def test_the_end_of_a_stream_is_no_error_of_the_server(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    """uvicorn complains about applications that return without an answer; handed over is no such case."""
    for first in (events("job-1"), UPGRADE):
        async with raw(node) as client:
            await client.send(first)
            await client.until(b"\r\n\r\n")
    await until(lambda: nothing_left(node.engine))
    assert not [record for record in caplog.records if record.levelname in {"ERROR", "WARNING"}]


async def test_streams_are_counted_exactly_when_many_connect_at_once(database_url: str, fal: FalDouble) -> None:
    """503 with Retry-After for each one too many, as HTTP also in place of a 101; a place that was left is free."""
    async with running_node(fal, database_url=database_url, max_streams=5) as node:
        clients = []
        for number in range(12):
            client = raw(node)
            clients.append((client, await client.__aenter__()))
            await clients[-1][1].send(UPGRADE if number % 2 else events("job-1"))
        heads = [(await client.until(b"\r\n\r\n")).lower() for _, client in clients]
        assert len(node.engine.admission.streams) == 5
        refused = [head for head in heads if b" 503 " in head]
        assert len(refused) == 7
        assert all(b"retry-after: 5" in head for head in refused)
        for context, _ in clients:
            await context.__aexit__(None, None, None)
        await until(lambda: nothing_left(node.engine))
        assert (await node.client.get("/healthz")).status_code == 200
        async with raw(node) as late:
            await late.send(events("job-1"))
            await late.until(b"retry: ")
