"""Readers on real sockets that do not read: bounded, newest state wins, closed in the end, nobody else delayed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from hookcast.push.stream import Mode, Stream
from support.fal import FalDouble
from support.loops import on_both_loops
from support.push import nothing_left, state
from support.raw import UPGRADE, Raw, events, raw, subscribe, versions
from support.server import Node, running_node, until

pytestmark = [pytest.mark.anyio, on_both_loops]
SIZE = 20_000
BOUND = 256 * 1024 + SIZE + 1000


@asynccontextmanager
async def watching(node: Node, kind: str, *names: str) -> AsyncIterator[Raw]:
    """A client with a small kernel buffer that has read the beginning of its stream."""
    async with raw(node, small=True) as client:
        if kind == "sse":
            await client.send(events(names[0]))
            await client.until(b"retry: ")
        else:
            await client.send(UPGRADE)
            await client.until(b"\r\n\r\n")
            await client.send(subscribe(*names))
            await client.until(b"subscribed")
        yield client


def only_stream(node: Node) -> Stream:
    """The one that is open."""
    [stream] = node.engine.admission.streams
    return cast("Stream", stream)


@pytest.mark.parametrize("kind", ["sse", "websocket"])
async def test_memory_is_bounded_and_the_newest_state_wins(node: Node, kind: str) -> None:
    """2,000 states of 20 KB are 40 MB; what waits is less than the contract's bound, and then comes the last one."""
    async with watching(node, kind, "job-1") as client:
        transport = only_stream(node).transport
        assert transport is not None
        for version in range(1, 2001):
            node.engine.hub.deliver(state(version=version, pad=SIZE))
            await asyncio.sleep(0)
            assert transport.get_write_buffer_size() <= BOUND
        seen = versions(await client.until(b'"version":2000'))
    assert seen == sorted(set(seen))
    assert len(seen) < 100
    await until(lambda: nothing_left(node.engine))


@pytest.mark.parametrize("kind", ["sse", "websocket"])
async def test_others_get_every_state_meanwhile(node: Node, kind: str) -> None:
    """Each one while the slow reader still has not read the first."""
    async with watching(node, kind, "job-1"), watching(node, kind, "job-1") as other:
        for version in range(1, 101):
            node.engine.hub.deliver(state(version=version, pad=SIZE))
            await other.until(b'"version":%d,' % version)
        assert versions(other.seen) == list(range(1, 101))


async def test_a_slow_sse_reader_is_cut_off(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection ends within a state, and nothing is left of it."""
    monkeypatch.setattr("hookcast.push.stream.SLOW_SECONDS", 0.3)
    async with watching(node, "sse", "job-1") as client:
        for version in range(1, 101):
            node.engine.hub.deliver(state(version=version, pad=SIZE))
        await until(lambda: nothing_left(node.engine))
        seen = versions(await client.rest())
    assert 100 not in seen


async def test_a_slow_websocket_reader_is_closed_with_4001(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """It sees the code when it reads again in time."""
    monkeypatch.setattr("hookcast.push.stream.SLOW_SECONDS", 0.3)
    async with watching(node, "websocket", "job-1") as client:
        for version in range(1, 101):
            node.engine.hub.deliver(state(version=version, pad=SIZE))
        await until(lambda: len(node.engine.hub) == 0)
        seen = await client.until(b"slow")
        assert seen[seen.rindex(b"slow") - 4 :] == b"\x88\x06\x0f\xa1slow"
    await until(lambda: nothing_left(node.engine))


@pytest.mark.parametrize("kind", ["sse", "websocket"])
async def test_a_reader_that_never_takes_its_close_is_cut_off(
    node: Node, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left of it while its socket is still open."""
    monkeypatch.setattr("hookcast.push.stream.SLOW_SECONDS", 0.2)
    monkeypatch.setattr("hookcast.push.stream.CLOSE_SECONDS", 0.2)
    async with watching(node, kind, "job-1"):
        for version in range(1, 101):
            node.engine.hub.deliver(state(version=version, pad=SIZE))
        await until(lambda: nothing_left(node.engine))


@pytest.mark.parametrize("kind", ["sse", "websocket"])
async def test_a_lifetime_that_ends_while_the_reader_is_behind_leaves_nothing(
    database_url: str, fal: FalDouble, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for a drain, which comes on top."""
    monkeypatch.setattr("hookcast.push.stream.CLOSE_SECONDS", 0.2)
    monkeypatch.setattr("hookcast.push.stream.SLOW_SECONDS", 0.5)
    times: dict[str, Any] = {"heartbeat_seconds": 1, "stream_lifetime_seconds": 0.4}
    async with running_node(fal, database_url=database_url, **times) as node, watching(node, kind, "job-1"):
        for version in range(1, 101):
            node.engine.hub.deliver(state(version=version, pad=SIZE))
        await until(lambda: len(node.engine.hub) == 0)
        node.engine.admission.drain()
        await until(lambda: nothing_left(node.engine))


async def test_a_client_that_writes_and_never_reads_is_stopped(node: Node) -> None:
    """Pings and subscriptions without end: the server stops reading them, and holds little."""
    async with watching(node, "websocket", "job-1") as client:
        flood = (b"\x89\xfd" + b"\0" * 129) * 500 + subscribe(*(f"job-{number}" for number in range(200)))
        stream = only_stream(node)
        assert stream.transport is not None
        while stream.transport.is_reading() or stream._mode is Mode.LIVE:
            with contextlib.suppress(BlockingIOError):
                client.sock.send(flood)
            await asyncio.sleep(0)
            assert stream.transport.get_write_buffer_size() <= 2 * BOUND


@pytest.mark.parametrize("kind", ["sse", "websocket"])
async def test_a_reader_that_half_closes_while_it_is_behind_leaves_nothing(
    node: Node, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is cut off like any other that does not read."""
    monkeypatch.setattr("hookcast.push.stream.SLOW_SECONDS", 0.3)
    monkeypatch.setattr("hookcast.push.stream.CLOSE_SECONDS", 0.2)
    async with watching(node, kind, "job-1") as client:
        for version in range(1, 51):
            node.engine.hub.deliver(state(version=version, pad=SIZE))
        client.sock.shutdown(1)
        for version in range(51, 101):
            node.engine.hub.deliver(state(version=version, pad=SIZE))
            await asyncio.sleep(0)
        await until(lambda: nothing_left(node.engine))
