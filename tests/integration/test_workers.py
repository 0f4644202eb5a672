"""`hookcast serve --workers`: what its processes hold, and a signal at any moment."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.redis import Redis
from support.served import Served

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
