"""Copies of files whose node dies or freezes, whose storage is away or full, and whose host breaks off."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from hookcast.upkeep.worker import LEASE_SECONDS
from support.buckets import CREDENTIALS, running_moto
from support.chaos import Chaos, sized
from support.falhost import running_falhost
from support.proxy import running_proxy
from support.results import Host, ended, finish, in_bucket, in_directory, problems_of, results
from support.room import small_disk
from support.served import Served, running_served

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(sized(300, 900))]
DEADLINE = sized(280, 860)
FILES = sized(40, 500)
PER_JOB = 5
KILLS = sized(2, 20)
LONGEST_LIFE = 0.3  # since files come again
PIECE_SECONDS = sized(0.02, 0.03)  # between two pieces of 256 KiB
SLOW_SECONDS = sized(0.3, 0.6)
AWAY_SECONDS = sized(0.5, 30.0)
FAULTS = 0.3

Stored = Callable[[], dict[str, str]]
Trouble = Callable[[Host], Awaitable[None]]
Harm = Callable[[Chaos, list[Served], Host], Awaitable[None]]


async def _survive(chaos: Chaos, nodes: list[Served], host: Host, trouble: Trouble, stored: Stored) -> None:
    """Send the webhooks, let there be trouble while the files are copied, and look at everything at the end."""
    ports = [node.port for node in nodes]
    for node in nodes:
        await node.healthy(chaos.web)
    began = asyncio.get_running_loop().time()
    await finish(chaos, ports, host)
    await trouble(host)
    states = await ended(chaos, ports[0], host.results)
    took = asyncio.get_running_loop().time() - began
    requests = sum(host.asked.values())
    chaos.note(f"  {FILES} files, {requests} requests, {host.cuts} of them cut, {took:.1f} s")
    assert problems_of(states, host.results, await asyncio.to_thread(stored)) == []
    assert [line for node in nodes for line in node.complaints()] == []


@asynccontextmanager
async def _hosting(chaos: Chaos, **options: float) -> AsyncIterator[tuple[Host, dict[str, str]]]:
    """Run fal with the host of its files; gives the settings that point a node to it."""
    host = Host(results(FILES, PER_JOB, chaos.random), chaos.random, **options)
    async with running_falhost(chaos.key, host.answer) as settings:
        host.url = settings["fal_queue_url"]
        yield host, settings


async def _kill(chaos: Chaos, nodes: list[Served], host: Host) -> None:
    """Kill one node after the other, each time while files come."""
    for _ in range(KILLS):
        while not host.open:  # noqa: ASYNC110 - what other processes do
            await asyncio.sleep(0.01)
        await asyncio.sleep(chaos.random.uniform(0.0, LONGEST_LIFE))
        node = chaos.random.choice(nodes)
        await node.kill()
        await node.spawn()
        await node.ready()


async def _freeze(chaos: Chaos, nodes: list[Served], host: Host) -> None:
    """Stop a node while files come, until another has taken over its work."""
    while host.begun < 6:  # noqa: ASYNC110 - what other processes do
        await asyncio.sleep(0.01)
    await asyncio.to_thread(nodes[1].freeze)
    await asyncio.sleep(LEASE_SECONDS + chaos.random.uniform(0.0, 3.0))
    nodes[1].thaw()


@pytest.mark.parametrize("where", sized(["directory"], ["directory", "bucket"]))
@pytest.mark.parametrize("harm", sized([_kill], [_kill, _freeze]))
async def test_nodes_that_die_or_freeze_keep_each_file_once_and_whole(
    chaos: Chaos, postgres_url: str, harm: Harm, where: str
) -> None:
    """Two nodes with one storage; one that was frozen goes on when the other has copied its files."""
    async with (
        asyncio.timeout(DEADLINE),
        _hosting(chaos, piece_seconds=SLOW_SECONDS) as (host, fal),
        _storage(chaos.folder, where) as (settings, stored),
        running_served(chaos.folder, {"database_url": postgres_url, **fal, **settings}, count=2) as nodes,
    ):
        await _survive(chaos, nodes, host, partial(harm, chaos, nodes), stored)
    assert sum(host.asked.values()) > FILES


async def test_a_host_that_breaks_off_at_any_byte_delays_its_files(chaos: Chaos) -> None:
    async def nothing(_host: Host) -> None:
        while host.cuts < FILES * FAULTS / 2:  # noqa: ASYNC110 - what other processes do
            await asyncio.sleep(0.01)
        host.faults = 0.0

    async with (
        asyncio.timeout(DEADLINE),
        _hosting(chaos, faults=FAULTS) as (host, fal),
        _storage(chaos.folder, "directory") as (settings, stored),
        running_served(chaos.folder, {**fal, **settings}) as nodes,
    ):
        await _survive(chaos, nodes, host, nothing, stored)


async def test_a_directory_that_is_away_delays_its_files(chaos: Chaos) -> None:
    """As that of a network file system whose mount is lost."""
    media, away = chaos.folder / "media", chaos.folder / "away"

    async def lose(host: Host) -> None:
        while host.begun < 10:  # noqa: ASYNC110 - what other processes do
            await asyncio.sleep(0.01)
        media.rename(away)
        media.write_text("not a directory")
        await asyncio.sleep(AWAY_SECONDS)
        media.unlink()
        away.rename(media)

    async with (
        asyncio.timeout(DEADLINE),
        _hosting(chaos, piece_seconds=PIECE_SECONDS) as (host, fal),
        _storage(chaos.folder, "directory") as (settings, stored),
        running_served(chaos.folder, {**fal, **settings}) as nodes,
    ):
        await _survive(chaos, nodes, host, lose, stored)


async def test_a_full_disk_delays_its_files(chaos: Chaos) -> None:
    with small_disk(sized("96m", "512m")) as (folder, disk):

        async def fill(host: Host) -> None:
            while host.begun < 10:  # noqa: ASYNC110 - what other processes do
                await asyncio.sleep(0.01)
            if disk is not None:
                await asyncio.to_thread(disk.fill)
                await asyncio.sleep(AWAY_SECONDS)
                disk.free()

        async with (
            asyncio.timeout(DEADLINE),
            _hosting(chaos, piece_seconds=PIECE_SECONDS) as (host, fal),
            running_served(chaos.folder, {**fal, "media_url": f"file://{folder}"}) as nodes,
        ):
            await _survive(chaos, nodes, host, fill, lambda: in_directory(folder))


async def test_a_bucket_that_is_away_delays_its_files(chaos: Chaos, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connections are reset, and none is accepted for a while."""
    prefix = secrets.token_hex(8)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with running_moto() as bucket:
        async with (
            asyncio.timeout(DEADLINE),
            _hosting(chaos, piece_seconds=PIECE_SECONDS) as (host, fal),
            running_proxy(bucket.port) as proxy,
            running_served(chaos.folder, {**fal, "media_url": bucket.url(prefix, proxy.url)}) as nodes,
        ):

            async def lose(host: Host) -> None:
                while host.begun < 10:  # noqa: ASYNC110 - what other processes do
                    await asyncio.sleep(0.01)
                proxy.cut()
                await asyncio.sleep(AWAY_SECONDS)
                proxy.heal()

            await _survive(chaos, nodes, host, lose, lambda: in_bucket(bucket, prefix))


@asynccontextmanager
async def _storage(folder: Path, where: str) -> AsyncIterator[tuple[dict[str, str], Stored]]:
    """A storage: the settings that name it, and a function that returns what is in it."""
    if where == "directory":
        media = folder / "media"
        yield {"media_url": f"file://{media}"}, lambda: in_directory(media)
        return
    async with AsyncExitStack() as stack:
        bucket = stack.enter_context(running_moto())
        stack.enter_context(pytest.MonkeyPatch.context()).setattr(os, "environ", os.environ | CREDENTIALS)
        prefix = secrets.token_hex(8)  # moto's buckets are those of the process
        yield {"media_url": bucket.url(prefix)}, lambda: in_bucket(bucket, prefix)
