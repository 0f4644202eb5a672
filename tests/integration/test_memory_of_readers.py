"""What readers that do not read cost a server: 60 jobs with results of 2 MiB, asked for in every way."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec import Raw as Json

from hookcast.jobs import Completed, Job, Registered, unseen
from hookcast.store import open_store
from hookcast.transitions import advance
from support.fal import FalDouble
from support.push import client_frames
from support.raw import SMALL, UPGRADE, get
from support.serving import Served, served

pytestmark = pytest.mark.anyio
JOBS = 60
RESULT = Json(b'"%b"' % (b"x" * 2 * 1024 * 1024))
ALLOWED = 96 * 1024  # KiB; usually 40 MiB, and up to 72 on a busy machine; the results have 120 MiB
NAMES = [f"job-{number}" for number in range(JOBS)]
REQUESTS = {
    "a group": [get("/api/fal-jobs/events?group=g")] * 8,
    "one job each": [get(f"/api/fal-jobs/{name}/events") for name in NAMES],
    "a socket": [UPGRADE + client_frames({"type": "subscribe", "groups": ["g"]})] * 8,
    "a list": [get("/api/fal-jobs?limit=200")] * 8,
    "a long poll each": [get(f"/api/fal-jobs/{name}?wait=60") for name in NAMES],
}


def completed(request_id: str) -> Job:
    """A job of the group that has ended."""
    now = datetime.now(UTC)
    job = advance(unseen(request_id, now=now), Registered(group="g"), now=now)
    return advance(job, Completed(result=RESULT), now=now)


@pytest.fixture(scope="module")
async def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the jobs."""
    folder = tmp_path_factory.mktemp("jobs")
    async with open_store(f"sqlite:///{folder}/hookcast.db") as store:
        for name in NAMES:
            job = completed(name)
            await store.change(name, lambda _, job=job: job)  # type: ignore[misc]
    return folder


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop, since all tests share a database."""
    return "asyncio"


@pytest.fixture
async def server(folder: Path, fal: FalDouble) -> AsyncIterator[Served]:
    """A running server that has read a job."""
    async with served(folder, fal) as running:
        await running.start()
        (await running.client.get("/api/fal-jobs/job-0")).raise_for_status()
        yield running


def peak_kib(server: Served) -> int:
    """The most memory that the server has had."""
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


async def unread(stack: ExitStack, server: Served, request: bytes) -> socket.socket:
    """A client that has got the head of its answer, and leaves the rest where it is."""
    loop, client = asyncio.get_running_loop(), stack.enter_context(socket.socket())
    client.setblocking(False)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    await loop.sock_connect(client, ("127.0.0.1", int(server.url.rpartition(":")[2])))
    await loop.sock_sendall(client, request)
    await loop.sock_recv(client, 64)
    return client


async def read_all(server: Served) -> None:
    """Read the group as a client that keeps up."""
    async with server.client.stream("GET", "/api/fal-jobs/events?group=g") as answer:
        left = JOBS
        async for data in answer.aiter_bytes():
            left -= data.count(b"event: job")
            if left <= 0:
                return


@pytest.mark.parametrize("kind", REQUESTS)
async def test_readers_that_do_not_read_hold_little_and_stop_nobody(server: Served, kind: str) -> None:
    """Less than 96 MiB beyond what the server had before, while another one gets all the jobs."""
    before = peak_kib(server)
    with ExitStack() as stack:
        await asyncio.gather(*(unread(stack, server, request) for request in REQUESTS[kind]))
        await read_all(server)
        assert peak_kib(server) - before < ALLOWED
