"""`hookcast serve --workers`: what its processes hold, and a signal at any moment."""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hookcast.supervisor.metrics import FILE_BYTES
from support.redis import Redis
from support.room import small_disk
from support.served import Served
from support.web import Web

pytestmark = pytest.mark.anyio
DEADLINE = 240.0
PARENT_MIB = 25


@pytest.fixture
async def node(tmp_path: Path, postgres_url: str, redis_server: Redis) -> AsyncIterator[Served]:
    """One of two workers, not yet started."""
    node = Served(tmp_path, {"database_url": postgres_url, "redis_url": redis_server.url}, workers=2)
    yield node
    await node.kill()


def held_mib(pid: int) -> float:
    """Return the memory that a process has in use (proc(5), VmRSS)."""
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


async def get_metrics(port: int) -> int:
    """Ask a worker for the metrics, over a connection of its own, and return the status."""
    web = Web()
    try:
        return (await web.request(port, "GET", "/metrics"))[0]
    finally:
        await web.close()


async def test_the_parent_holds_little(node: Served) -> None:
    """It has started a node's database and settings, and gives that memory back."""
    async with asyncio.timeout(DEADLINE):
        await node.start()
        assert held_mib(node.pid) <= PARENT_MIB
        assert await node.stop() == 0
    assert node.complaints() == []


async def test_a_signal_before_the_workers_start_ends_them(node: Served) -> None:
    """Whatever the parent is doing once it has said that it listens."""
    async with asyncio.timeout(DEADLINE):
        await node.spawn()
        await node.listens()
        os.kill(node.pid, signal.SIGTERM)
        assert await node.ended() == 0
    events = [json.loads(line)["event"] for line in node.log.read_text().splitlines()]
    assert "worker_died" not in events


async def test_metrics_take_no_more_than_the_room_that_a_worker_has_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_url: str, redis_server: Redis
) -> None:
    """prometheus_client makes no file of its own, and makes none longer."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    node = Served(tmp_path, {"database_url": postgres_url, "redis_url": redis_server.url}, workers=2)
    try:
        async with asyncio.timeout(DEADLINE):
            await node.start()
            files = [*tmp_path.glob("hookcast-metrics-*/*.db")]
    finally:
        await node.kill()
    names = {file.name.removesuffix(".db").rpartition("_")[0] for file in files}
    assert len(files) == 2 * len(names) > 0
    assert all(file.stat().st_size == FILE_BYTES for file in files)
    assert all(0 < int.from_bytes(file.read_bytes()[:4], sys.byteorder) < FILE_BYTES / 2 for file in files)


async def test_a_worker_without_room_for_its_metrics_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_url: str, redis_server: Redis
) -> None:
    """The temporary directory is full, or has been emptied, when a worker is started again."""
    with small_disk("4m") as (folder, disk):
        monkeypatch.setenv("TMPDIR", str(folder))
        node = Served(tmp_path, {"database_url": postgres_url, "redis_url": redis_server.url}, workers=2)
        try:
            async with asyncio.timeout(DEADLINE):
                await node.start()
                if disk is not None:
                    disk.fill()
                else:
                    for shared in folder.glob("hookcast-metrics-*"):
                        shutil.rmtree(shared)
                os.kill(node.workers()[0], signal.SIGKILL)
                await node.worker_serves()
                events = [json.loads(line)["event"] for line in node.log.read_text().splitlines()]
                assert events.count("worker_died") == 1
                assert "metrics_of_each_worker_alone" in events
                assert [(await get_metrics(node.port)) for _ in range(8)] == [200] * 8
                assert await node.stop() == 0  # also of its workers, whose files are on that disk
        finally:
            await node.kill()
