"""Clients that send several requests at once and then leave, or go on with nonsense."""

import pytest

from support.fal import forged, sign
from support.loops import on_both_loops
from support.raw import UPGRADE, get, raw
from support.server import Node, until

pytestmark = [pytest.mark.anyio, on_both_loops]
NONSENSE = b"GET /\x01 HTTP/1.1\r\n\r\n"


def _webhook(node: Node, request_id: str) -> bytes:
    body = node.fal.webhook(request_id)
    fields = [f"{name}: {value}" for name, value in sign(body, node.fal.key).items()]
    return get("/api/webhooks/fal", f"Content-Length: {len(body)}", *fields, method="POST") + body


@pytest.mark.parametrize("end", [b"", NONSENSE, UPGRADE], ids=["leaves", "nonsense", "upgrade"])
async def test_requests_whose_client_has_gone_are_no_error_of_the_server(
    node: Node, end: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """None of them is answered into the closed connection."""
    await node.register("job-1")
    requests = b"".join(_webhook(node, f"job-{number}") + get("/api/fal-jobs/job-1") for number in range(10))
    for _ in range(10):
        async with raw(node) as client:
            await client.send(requests + end)
            await client.more()
            client.cut()
    await _idle(node)
    assert not [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]


async def test_nonsense_behind_an_unanswered_request_is_not_its_answer(node: Node) -> None:
    """The client would take the 400 for it; what it gets is the end (RFC 9112 section 9.3.2)."""
    await node.register("job-1")
    async with raw(node) as client:
        await client.send(get("/api/fal-jobs/job-1?wait=1&version=9") + NONSENSE)
        assert await client.rest() == b""
    await _idle(node)


async def test_nonsense_alone_or_in_a_body_is_answered(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    named = (f"{name}: {value}" for name, value in forged().items())
    chunked = get("/api/webhooks/fal", "Transfer-Encoding: chunked", *named, method="POST")
    for sent in (NONSENSE, get("/healthz") + NONSENSE, chunked + b"zz\r\n", chunked + b"2\r\n{}\r\nzz\r\n"):
        async with raw(node) as client:
            first, _, second = sent.partition(b"\r\n\r\n")
            await client.send(first + b"\r\n\r\n")
            if b"healthz" in first:
                await client.until(b'"status":"ok"}')
            await client.send(second)
            assert b"HTTP/1.1 400 " in await client.rest()
    await _idle(node)
    assert not [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]


async def _idle(node: Node) -> None:
    """Nothing is under way; the test's own client may keep a connection."""
    state = node.server.server_state
    await until(lambda: not state.tasks and len(state.connections) <= 1)
