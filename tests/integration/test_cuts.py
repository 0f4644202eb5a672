"""Connections that the network cuts anywhere, and connections that come and go: nothing stays, nothing is mixed up."""

import asyncio
import random

import pytest

from support.fal import FalDouble
from support.loops import on_both_loops
from support.push import client_frames, nothing_left, state
from support.raw import UPGRADE, Raw, connect, events, get, subscribe, versions
from support.server import Node, running_node, until

pytestmark = [pytest.mark.anyio, on_both_loops]
CUTS = 1000
AT_ONCE = 25


@pytest.fixture
def chance() -> random.Random:
    """Chance whose seed is shown when a test fails."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    return random.Random(seed)  # noqa: S311


def script(chance: random.Random) -> bytes:
    """All that a client would send, of one kind or another."""
    group = get("/api/fal-jobs/events?requestId=job-1&requestId=job-2&group=g")
    talk = (subscribe("job-1", "job-2"), client_frames({"type": "unsubscribe", "requestIds": ["job-1"]}))
    socket = UPGRADE + b"".join(chance.choices(talk, k=chance.randint(0, 4))) + client_frames(close=1000)
    return chance.choice(
        [events("job-1"), group, get("/healthz") + events("job-1"), events("job-2") * 2, socket, socket]
    )


async def cut_somewhere(node: Node, chance: random.Random) -> None:
    """Send some of it, read some of what comes, and break off with a reset or a plain close."""
    client = await connect(node)
    data = script(chance)
    data = data[: chance.randint(0, len(data))]
    try:
        head = data.find(b"\r\n\r\n") + 4 if chance.random() < 0.7 else chance.randint(0, len(data))
        for part in (data[:head], data[head:]):
            await client.send(part)
            if chance.random() < 0.5 and b"\r\n\r\n" in part:
                await asyncio.wait_for(client.more(), 5)
            for _ in range(chance.randint(0, 6)):
                await asyncio.sleep(0)
    except (ConnectionResetError, BrokenPipeError, TimeoutError):
        pass
    finally:
        client.cut() if chance.random() < 0.5 else client.sock.close()


async def test_a_connection_that_is_cut_at_any_byte_leaves_nothing_behind(
    database_url: str, fal: FalDouble, chance: random.Random
) -> None:
    """1,000 times, while states are pushed: during the handshake, the request, a message, the stream."""
    async with running_node(fal, database_url=database_url, fal_key=None) as node:
        await node.register("job-1", group="g")
        met: set[object] = set()
        pushing = asyncio.ensure_future(_push(node, chance, met))
        for _ in range(CUTS // AT_ONCE):
            await asyncio.gather(*(cut_somewhere(node, chance) for _ in range(AT_ONCE)))
        pushing.cancel()
        await asyncio.gather(pushing, return_exceptions=True)
        assert pushing.cancelled()
        assert len(met) > CUTS // 10
        await until(lambda: _quiet(node))  # what the kernel has accepted may still begin, and ends


def _quiet(node: Node) -> bool:
    hub, connections = node.engine.hub, node.server.server_state.connections
    return nothing_left(node.engine) and len(connections) <= 1 and not list(hub) and not hub._by_feed


async def _push(node: Node, chance: random.Random, met: set[object]) -> None:
    version = 1
    while True:
        version += 1
        met.update(node.engine.admission.streams)
        for name in ("job-1", "job-2"):
            node.engine.hub.deliver(state(name, version, group="g", pad=chance.choice([0, 100_000])))
        await asyncio.sleep(0.001)  # the database's thread gets its turn


async def test_no_stream_ever_sees_anothers_bytes(database_url: str, fal: FalDouble, chance: random.Random) -> None:
    """Connections open and close at random, so that descriptors are used again; each gets its own job only."""
    async with running_node(fal, database_url=database_url, fal_key=None) as node:
        live: list[tuple[Raw, bytes]] = []
        version = 0
        for turn in range(400):
            if len(live) < 20 or chance.random() < 0.4:
                live.append(await _open(node, f"job-{turn}", chance))
            if chance.random() < 0.5:
                client, _ = live.pop(chance.randrange(len(live)))
                client.cut() if chance.random() < 0.5 else client.sock.close()
            version += 1
            for _, name in live:
                node.engine.hub.deliver(state(name.decode(), version, pad=chance.choice([0, 5000])))
            if chance.random() < 0.2:
                await asyncio.sleep(0)
        for client, name in live:
            await client.until(b'"version":%d,' % version)
            names = {part.split(b'"')[0] for part in client.seen.split(b'"requestId":"')[1:]}
            assert names == {name}
            seen = versions(client.seen)
            assert seen == sorted(set(seen))
            assert seen[-1] == version
            client.sock.close()
        await until(lambda: nothing_left(node.engine))


async def _open(node: Node, name: str, chance: random.Random) -> tuple[Raw, bytes]:
    client = await connect(node)
    if chance.random() < 0.5:
        await client.send(events(name))
        await client.until(b"retry: ")
    else:
        await client.send(UPGRADE)
        await client.until(b"\r\n\r\n")
        await client.send(subscribe(name))
        await client.until(b"subscribed")
    return client, name.encode()
