"""Bodies of senders that nobody knows yet: what they may take of the server's time and memory."""

import asyncio
import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from hookcast.routes import bodies as reading
from hookcast.routes.bodies import Pace
from hookcast.store import Change
from support.access import API_KEY
from support.connections import connected
from support.fal import FalDouble, forged, sign
from support.jwks import published_to_threads
from support.raw import Raw, get, raw
from support.served import Served, running_served
from support.server import Node, running_node, until
from support.web import Web

pytestmark = pytest.mark.anyio
LARGE = 31 * 1024 * 1024
MIB = 1024 * 1024
WEBHOOK = "/api/webhooks/fal"


def head(size: int | str, headers: dict[str, str] | None = None, *more: str, path: str = WEBHOOK) -> bytes:
    """A request's head; `size` is the announced length, or a whole header."""
    length = f"Content-Length: {size}" if isinstance(size, int) else size
    named = (f"{name}: {value}" for name, value in (forged() if headers is None else headers).items())
    return get(path, length, *named, *more, method="POST")


def told(client: Raw) -> tuple[int, str]:
    """The status and code of the answer."""
    start, _, body = client.seen.partition(b"\r\n\r\n")
    return int(start.split()[1]), json.loads(body)["code"]


REFUSED = {
    "unsigned": ({}, "signature_missing"),
    "no hex": ({"x-fal-webhook-signature": "zz" * 64}, "signature_invalid"),
    "short": ({"x-fal-webhook-signature": "ab" * 63}, "signature_invalid"),
    "old": ({"x-fal-webhook-timestamp": "1000000000"}, "timestamp_out_of_range"),
    "no number": ({"x-fal-webhook-timestamp": "soon"}, "timestamp_out_of_range"),
    "no user": ({"x-fal-webhook-user-id": " "}, "signature_missing"),
    "another user": ({"x-fal-webhook-user-id": "user-2"}, "user_mismatch"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_its_headers_refuse_needs_no_body(database_url: str, fal: FalDouble, name: str) -> None:
    """The answer comes before a byte of the body, and without `100 Continue`."""
    changed, code = REFUSED[name]
    headers = {**forged(), **changed} if changed else {}
    async with running_node(fal, database_url=database_url, fal_user_id="user-1") as node:
        for length in (LARGE, "Transfer-Encoding: chunked"):
            async with raw(node) as client:
                await client.send(head(length, headers, "Expect: 100-continue"))
                await client.until(b"}")
                assert told(client) == (401, code)


async def test_without_keys_no_body_is_read(node: Node) -> None:
    """It could not be verified; fal sends it again."""
    node.fal.down = True
    async with raw(node) as client:
        await client.send(head(LARGE))
        await client.until(b"}")
        assert told(client) == (503, "keys_unavailable")


async def test_a_body_that_stops_is_a_408(node: Node) -> None:
    """However much of it has come."""
    node.services.webhooks.pace = Pace(seconds=60, rate=1, silence=0.2)
    for part in (b"", b"x" * 200_000):
        async with raw(node) as client:
            await client.send(head(LARGE) + part)
            await client.until(b"}")
            assert told(client) == (408, "body_timeout")
    assert node.services.webhooks.reserved == 0


async def test_a_slow_body_gives_way_to_one_that_needs_its_room(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody keeps fal out by sending slowly: the genuine webhook is taken, the slow ones may come again."""
    monkeypatch.setattr(reading, "TRIAL_SECONDS", 0.1)
    async with raw(node) as slow:
        await slow.send(head(LARGE) + b"x" * 1000)
        await until(lambda: node.services.webhooks.reserved)
        answer = await node.post_webhook(node.fal.webhook("job-1", payload="x" * LARGE))
        assert answer.json() == {"status": "accepted"}
        await slow.until(b"}")
        assert told(slow) == (503, "busy")
        assert b"retry-after: 5" in slow.seen.lower()


async def test_a_small_webhook_never_waits_for_large_bodies(node: Node) -> None:
    """Whether its body comes with its head or after it, chunked or not."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(4):
            client = await stack.enter_async_context(raw(node))
            await client.send(head(LARGE) + b"x" * 1000)
        await until(lambda: node.services.webhooks.reserved)
        assert (await node.post_webhook(node.fal.webhook("job-1"))).status_code == 200
        async with raw(node) as client:
            body = node.fal.webhook("job-2")
            await client.send(head(len(body), sign(body, node.fal.key)))
            await client.send(body[:10])
            await until(lambda: node.services.webhooks.reserved % MIB)
            await client.send(body[10:])
            await client.until(b'"accepted"')


async def test_webhooks_without_a_length_do_not_wait_for_each_other(node: Node) -> None:
    """As some proxies send them: each takes little room until it turns out to be large."""
    chunked = "Transfer-Encoding: chunked"
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(raw(node)) for _ in range(10)]
        for number, client in enumerate(clients):
            body = node.fal.webhook(f"job-{number}", payload="x" * 100_000)
            await client.send(head(chunked, sign(body, node.fal.key)) + b"%x\r\n" % len(body) + body[:100])
        await until(lambda: node.services.webhooks.reserved >= 10 * 64 * 1024)
        assert node.services.webhooks.reserved < MIB
        for number, client in enumerate(clients):
            body = node.fal.webhook(f"job-{number}", payload="x" * 100_000)
            await client.send(body[100:] + b"\r\n0\r\n\r\n")
        for client in clients:
            await client.until(b'"accepted"')
    assert node.services.webhooks.reserved == 0


async def test_a_webhook_takes_its_room_until_it_is_committed(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """As much as its body, whether its length was announced or not: a database that hangs fills no memory."""
    committing, change = asyncio.Event(), node.services.store.change

    async def slow(*given: Any, **more: Any) -> Change:
        await committing.wait()
        return await change(*given, **more)

    monkeypatch.setattr(node.services.store, "change", slow)
    body = node.fal.webhook("job-1", payload="x" * 5 * MIB)
    other = node.fal.webhook("job-2", payload="x" * 5 * MIB)
    async with raw(node) as client:
        chunked = head("Transfer-Encoding: chunked", sign(other, node.fal.key))
        await client.send(chunked + b"%x\r\n" % len(other) + other + b"\r\n0\r\n\r\n")
        first = asyncio.ensure_future(node.post_webhook(body))
        await until(lambda: node.services.webhooks.reserved == len(body) + len(other))
        committing.set()
        assert (await first).json() == {"status": "accepted"}
        await client.until(b'"accepted"')
    assert node.services.webhooks.reserved == 0


async def test_room_that_nobody_gives_up_is_waited_for_and_then_refused(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 with Retry-After, since fal sends it again; and nothing stays reserved."""
    monkeypatch.setattr(reading, "WAIT_SECONDS", 0.1)
    async with raw(node) as first, raw(node) as second:
        await first.send(head(LARGE) + b"x")
        await until(lambda: node.services.webhooks.reserved)
        await second.send(head(LARGE) + b"x")
        await second.until(b"}")
        assert told(second) == (503, "busy")
    await until(lambda: not node.services.webhooks.reserved)


@pytest.mark.parametrize("path", ["/api/fal-jobs", "/api/tokens", "/api/fal-jobs/job-1/cancel"])
async def test_a_caller_without_a_key_is_refused_before_its_body(database_url: str, fal: FalDouble, path: str) -> None:
    """On every path that takes a body."""
    async with running_node(fal, database_url=database_url, api_keys=API_KEY) as node, raw(node) as client:
        await client.send(head(LARGE, {}, "Expect: 100-continue", path=path))
        await client.until(b"}")
        assert told(client) == (401, "unauthorized")


async def test_twenty_strangers_with_31_mib_each_cost_little_memory(tmp_path: Path) -> None:
    """Their headers have the right form, and all but the last byte comes; meanwhile a webhook of fal's is taken."""
    key = SigningKey.generate()
    with published_to_threads(key) as jwks:
        settings = {"database_url": f"sqlite:///{tmp_path / 'hookcast.db'}", "fal_jwks_url": jwks}
        async with running_served(tmp_path, settings) as (server,):
            web = Web()
            await _taken(web, server, key, b"x")
            before, most = _resident(server.pid), 0
            strangers = [asyncio.create_task(_hold(server.port)) for _ in range(20)]
            for size in (1, MIB, 1):
                await _taken(web, server, key, b"x" * size)
                most = max(most, _resident(server.pid))
            assert most - before < 150 * MIB
            for stranger in strangers:
                stranger.cancel()
            await asyncio.gather(*strangers, return_exceptions=True)
            await web.close()


async def _hold(port: int) -> None:
    async with connected(port) as (reader, writer):
        writer.write(head(LARGE))
        for _ in range(LARGE // MIB):
            writer.write(b"x" * (MIB - 1))
            await writer.drain()
        await reader.read()


async def _taken(web: Web, server: Served, key: SigningKey, pad: bytes) -> None:
    """Send fal's webhook until it is taken, as fal does."""
    while True:
        body = json.dumps({"request_id": "job-1", "status": "OK", "payload": pad.decode()}).encode()
        status, _ = await web.request(server.port, "POST", WEBHOOK, headers=sign(body, key), body=body)
        if status == 200:
            return
        assert status == 503


def _resident(pid: int) -> int:
    """Bytes of memory (proc(5), statm)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
