"""How many streams one client may have, how often it may submit, and how deep its JSON may be."""

import itertools
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from support.access import ADMIN, SECOND_KEY, SETTINGS, token
from support.fal import ENDPOINT, FalDouble
from support.push import client_frames, nothing_left
from support.raw import UPGRADE, Raw, get, raw
from support.server import Node, running_node, until

pytestmark = pytest.mark.anyio
LIMITS: dict[str, Any] = {"max_streams_per_address": 3, "max_streams_per_token": 2}
HERE, THERE = "203.0.113.7", "2001:db8:1:2::7"


@pytest.fixture
async def small(database_url: str, fal: FalDouble) -> AsyncIterator[Node]:
    """A server that allows a client little."""
    async with running_node(fal, database_url=database_url, **LIMITS) as node:
        yield node


def sse(*headers: str, query: str = "") -> bytes:
    """A request for a stream."""
    return get(f"/api/fal-jobs/job-1/events{query}", *headers)


def websocket(*headers: str, query: str = "") -> bytes:
    """A request for a WebSocket."""
    lines = "".join(f"{header}\r\n" for header in headers).encode()
    return UPGRADE[:-2].replace(b"/ws ", f"/ws{query} ".encode()) + lines + b"\r\n"


async def opened(stack: AsyncExitStack, node: Node, request: bytes) -> Raw:
    """A connection that has a stream, or a refusal."""
    client = await stack.enter_async_context(raw(node))
    await client.send(request)
    await client.until(b"\r\n\r\n")
    return client


def status_of(client: Raw) -> int:
    """Of the answer."""
    return int(client.seen.split(b" ", 2)[1])


async def too_many(client: Raw) -> bool:
    """Whether it was refused as one client's stream too many, with the time to come back."""
    await client.until(b"}")
    head, _, body = client.seen.partition(b"\r\n\r\n")
    return (
        status_of(client) == 429
        and b"\r\nretry-after: 10\r\n" in head.lower()
        and json.loads(body)["code"] == "too_many_streams_of_client"
    )


async def test_an_address_has_a_number_of_streams_of_either_kind(small: Node) -> None:
    """The next one is told when to come back; other addresses, and a proxy that tells none, are not concerned."""
    forwarded = f"X-Forwarded-For: {HERE}"
    async with AsyncExitStack() as stack:
        clients = [await opened(stack, small, make(forwarded)) for make in (sse, websocket, sse)]
        assert [status_of(client) for client in clients] == [200, 101, 200]
        for make in (sse, websocket):
            assert await too_many(await opened(stack, small, make(forwarded)))
        others = [await opened(stack, small, sse(f"X-Forwarded-For: {THERE}")) for _ in range(3)]
        others += [await opened(stack, small, sse()) for _ in range(5)]
        assert [status_of(client) for client in others] == [200] * 8
        assert await too_many(await opened(stack, small, sse("X-Forwarded-For: 2001:db8:1:2:ffff::1")))
        clients[1].cut()
        await until(lambda: len(small.engine.admission.streams) == 10)
        assert status_of(await opened(stack, small, websocket(forwarded))) == 101
    await until(lambda: nothing_left(small.engine))
    assert len(small.engine.admission.holders) == 0


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_nothing_is_left_in_whatever_order_they_leave(small: Node, order: tuple[int, ...]) -> None:
    async with AsyncExitStack() as stack:
        clients = [await opened(stack, small, make(f"X-Forwarded-For: {HERE}")) for make in (sse, websocket, sse)]
        for left, number in zip((2, 1, 0), order, strict=True):
            clients[number].cut()
            await until(lambda: len(small.engine.admission.streams) == left)  # noqa: B023
            assert sum(map(len, small.engine.admission.streams.values())) == left
    await until(lambda: nothing_left(small.engine))
    assert len(small.engine.admission.holders) == 0


async def test_a_refused_stream_and_one_that_fails_to_open_are_not_counted(small: Node) -> None:
    headers = {"X-Forwarded-For": HERE}
    for _ in range(5):
        assert (await small.client.head("/api/fal-jobs/job-1/events", headers=headers)).status_code == 200
        answer = await small.client.get("/api/fal-jobs/events", headers=headers)
        assert answer.status_code == 422
    assert len(small.engine.admission.holders) == 0


async def test_the_address_is_the_one_that_the_proxy_saw(small: Node) -> None:
    """What stands before it the client may have written itself."""
    async with AsyncExitStack() as stack:
        for spoofed in ("192.0.2.1, ", "garbage, ", ""):
            client = await opened(stack, small, sse(f"X-Forwarded-For: {spoofed}{HERE}"))
            assert status_of(client) == 200
        assert await too_many(await opened(stack, small, sse(f"X-Forwarded-For: 192.0.2.9, {HERE}:4711")))


async def test_a_stranger_is_not_believed_whom_it_speaks_for(database_url: str, fal: FalDouble) -> None:
    """Only the proxies of the setting are."""
    async with (
        running_node(fal, database_url=database_url, forwarded_allow_ips="198.51.100.1", **LIMITS) as node,
        AsyncExitStack() as stack,
    ):
        for _ in range(5):
            assert status_of(await opened(stack, node, sse(f"X-Forwarded-For: {HERE}"))) == 200
        assert len(node.engine.admission.holders) == 0


async def test_a_token_has_a_number_of_streams(database_url: str, fal: FalDouble) -> None:
    """Tokens that show the same are one; an API key has no such limit."""
    async with running_node(fal, database_url=database_url, **SETTINGS, **LIMITS) as node, AsyncExitStack() as stack:
        grants = [token(jobs=["job-1"], expires_in=600 + number) for number in range(3)]
        assert status_of(await opened(stack, node, sse(query=f"?token={grants[0]}"))) == 200
        assert status_of(await opened(stack, node, websocket(query=f"?token={grants[1]}"))) == 101
        assert await too_many(await opened(stack, node, sse(query=f"?token={grants[2]}")))
        assert status_of(await opened(stack, node, sse(query=f"?token={token(jobs=['job-1', 'job-2'])}"))) == 200
        for _ in range(4):
            assert status_of(await opened(stack, node, sse(f"Authorization: {ADMIN['Authorization']}"))) == 200
    await until(lambda: nothing_left(node.engine))
    assert len(node.engine.admission.holders) == 0


async def test_a_token_that_comes_with_a_message_counts_as_well(database_url: str, fal: FalDouble) -> None:
    """The connection is closed as one that wants too much; another token takes the place of the one before."""
    async with running_node(fal, database_url=database_url, **SETTINGS, **LIMITS) as node, AsyncExitStack() as stack:
        grants = [token(jobs=["job-1"]), token(jobs=["job-1"]), token(jobs=["job-1"])]
        clients = []
        for grant in grants:
            client = await opened(stack, node, websocket())
            await client.send(client_frames({"type": "subscribe", "requestIds": ["job-1"], "token": grant}))
            clients.append(client)
            await client.until(b'"type":"')
        assert b'"too_many"' in clients[2].seen
        other = token(jobs=["job-1", "job-2"])
        await clients[0].send(client_frames({"type": "subscribe", "requestIds": ["job-2"], "token": other}))
        await clients[0].until(b'"job-2"')
        assert status_of(await opened(stack, node, sse(query=f"?token={grants[0]}"))) == 200
    await until(lambda: nothing_left(node.engine))
    assert len(node.engine.admission.holders) == 0


async def test_a_key_submits_so_often_a_minute(database_url: str, fal: FalDouble) -> None:
    """All at once if it likes; another key has its own number."""
    fal.script(f"/{ENDPOINT}", httpx.Response(200, json={"request_id": "job-9", "response_url": "https://x.test/r"}))
    async with running_node(fal, database_url=database_url, submits_per_minute=3, **SETTINGS) as node:
        body = {"endpointId": ENDPOINT, "input": {}}

        async def submit(headers: dict[str, str]) -> httpx.Response:
            return await node.client.post("/api/fal-jobs", json=body, headers=headers)

        assert [(await submit(ADMIN)).status_code for _ in range(3)] == [202] * 3
        refused = await submit(ADMIN)
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert 1 <= int(refused.headers["retry-after"]) <= 20
        assert len(fal.asked(ENDPOINT)) == 3
        assert (await submit({"Authorization": f"Bearer {SECOND_KEY}"})).status_code == 202
        assert (await node.client.get("/api/fal-jobs/job-9", headers=ADMIN)).status_code == 200


def nested(levels: int) -> bytes:
    """Arrays in objects in arrays."""
    return b'[{"[":' * (levels // 2) + b"1.0" + b"}]" * (levels // 2)


async def test_a_deep_payload_stays_what_it_is_byte_for_byte(node: Node) -> None:
    """Up to the limit, the webhook's own level included."""
    payload = nested(198)
    body = b'{"request_id":"job-1","status":"OK","payload":%b}' % payload
    assert (await node.post_webhook(body)).status_code == 200
    assert b'"result":%b,' % payload in (await node.client.get("/api/fal-jobs/job-1")).content


@pytest.mark.parametrize("field", ["payload", "error", "payload_error", "unknown"])
@pytest.mark.parametrize("levels", [200, 900, 200_000, 2_000_000])
async def test_a_payload_that_is_too_deep_is_malformed(node: Node, field: str, levels: int) -> None:
    """Whichever field has it, and however deep."""
    deep = b"[" * levels + b"]" * levels
    answer = await node.post_webhook(b'{"request_id":"job-1","status":"OK","%b":%b}' % (field.encode(), deep))
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
    assert (await node.client.get("/api/fal-jobs/job-1")).status_code == 404


@pytest.mark.parametrize("field", ["input", "metadata"])
async def test_a_submit_that_is_too_deep_is_refused(node: Node, field: str) -> None:
    facts = {"endpointId": ENDPOINT, "input": {}, field: {"a": "DEEP"}}
    body = json.dumps(facts).replace('"DEEP"', "[" * 300 + "]" * 300)
    answer = await node.client.post("/api/fal-jobs", content=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert "deep" in answer.json()["detail"]
    assert not node.fal.asked(ENDPOINT)


def poll(*headers: str) -> bytes:
    """A long poll."""
    return get("/api/fal-jobs/job-1?wait=60&version=1", *headers)


async def test_a_waiting_long_poll_counts_as_a_stream(small: Node) -> None:
    """By address as by token, beside streams; its place is free again when it ends, by an answer or a cut."""
    await small.register("job-1")
    forwarded = f"X-Forwarded-For: {HERE}"
    async with AsyncExitStack() as stack:
        await opened(stack, small, sse(forwarded))
        waiting = [await stack.enter_async_context(raw(small)) for _ in range(2)]
        for client in waiting:
            await client.send(poll(forwarded))
        await until(lambda: small.engine.admission.polls == 2)
        for make in (sse, websocket, poll):
            assert await too_many(await opened(stack, small, make(forwarded)))
        waiting[0].cut()
        await until(lambda: small.engine.admission.polls == 1)
        assert status_of(await opened(stack, small, sse(forwarded))) == 200
        assert status_of(await opened(stack, small, get("/api/fal-jobs/job-1", forwarded))) == 200
        await small.post_webhook(small.fal.webhook("job-1"))
        await waiting[1].until(b'"version":2')
        await until(lambda: not small.engine.admission.polls)
    await until(lambda: nothing_left(small.engine))


async def test_a_long_poll_beyond_the_servers_streams_is_told_to_come_back(database_url: str, fal: FalDouble) -> None:
    """503 as a stream; what can be answered without waiting is no exception."""
    async with running_node(fal, database_url=database_url, max_streams=1) as node, node.events("job-1"):
        refused = await node.client.get("/api/fal-jobs/job-1?wait=60")
        assert (refused.status_code, refused.json()["code"]) == (503, "too_many_streams")
        assert refused.headers["retry-after"]


async def test_a_long_poll_of_a_stranger_subscribes_nothing(database_url: str, fal: FalDouble) -> None:
    """It is refused before anybody listens on the bus, or asks fal, for it."""
    async with running_node(fal, database_url=database_url, **SETTINGS) as node:
        admin, stranger = (ADMIN, {"Authorization": f"Bearer {token(sub='stranger')}"})
        await node.client.put("/api/fal-jobs/job-1", json={"owner": "user-1"}, headers=admin)
        joined: list[object] = []
        node.engine.hub.join = lambda *names: joined.append(names)  # type: ignore[method-assign, assignment]
        for name in ("job-1", "absent"):
            refused = await node.client.get(f"/api/fal-jobs/{name}?wait=60", headers=stranger)
            assert (refused.status_code, refused.json()["code"]) == (404, "job_not_found")
        assert joined == []
