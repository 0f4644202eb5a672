"""PostgreSQL fails over while the old primary lives on, read-only: the pool is made anew, and the log says it once."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import pytest
from structlog.testing import capture_logs

from hookcast.store import postgresql
from support.fal import FalDouble
from support.ports import quiet_port
from support.postgres import Postgres
from support.server import Node, running_node, until

pytestmark = pytest.mark.anyio


@contextmanager
def read_only(postgres: Postgres, url: str, *, moved: bool) -> Iterator[None]:
    """Let the sessions of now take no writes any more; `moved` = a new session reaches a server that does."""
    name = urlsplit(url).path[1:]
    postgres.sql(
        f"ALTER DATABASE {name} SET default_transaction_read_only = {'off' if moved else 'on'}",
        "ALTER SYSTEM SET default_transaction_read_only = on",
        "SELECT pg_reload_conf()",
    )
    try:
        yield
    finally:
        postgres.sql(
            "SET default_transaction_read_only = off",
            "ALTER SYSTEM RESET default_transaction_read_only",
            f"ALTER DATABASE {name} RESET default_transaction_read_only",
            "SELECT pg_reload_conf()",
        )


@pytest.fixture
async def node(postgres_url: str, fal: FalDouble) -> AsyncIterator[Node]:
    """A node whose pool is full of connections."""
    async with running_node(fal, database_url=postgres_url) as running:
        await asyncio.gather(*(running.client.get("/api/fal-jobs") for _ in range(40)))
        yield running


async def readiness(node: Node, status: int) -> httpx.Response:
    """Wait for this answer of /readyz."""
    async with asyncio.timeout(60):
        while (answer := await node.client.get("/readyz")).status_code != status:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
    return answer


async def accepted(node: Node, name: str) -> int:
    """Send a webhook until it is accepted, as fal does; return how often it was refused."""
    refused = 0
    async with asyncio.timeout(40):  # a machine four times as slow
        while (answer := await node.post_webhook(node.fal.webhook(name))).status_code != 200:
            assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
            refused += 1
            await asyncio.sleep(0.1)
    return refused


async def test_a_read_only_server_is_left_at_once(node: Node, postgres: Postgres, postgres_url: str) -> None:
    """Other connections in the pool lead to the old primary, too; one line says so, and one that it is over.

    A webhook notices it, or work of the node's own.
    """
    await accepted(node, "job-1")
    with read_only(postgres, postgres_url, moved=True), capture_logs() as lines:
        for number in range(2, 12):
            await accepted(node, f"job-{number}")
        await until(lambda: any(line["event"] == "database_available" for line in lines))
    told = [line for line in lines if line["event"].startswith("database_")]
    assert [line["event"] for line in told] == ["database_unavailable", "database_available"]
    assert told[0]["trouble"] == "read_only"
    assert "read-only" in told[0]["reason"]


async def test_a_node_without_writes_is_not_ready(node: Node, postgres: Postgres, postgres_url: str) -> None:
    """Reads go on; /readyz tries a write, says why it failed, and is 200 again without any webhook."""
    assert (await node.client.get("/readyz")).status_code == 200
    with read_only(postgres, postgres_url, moved=False), capture_logs():
        answer = await readiness(node, 503)
        assert answer.json()["checks"]["database"] == "unavailable"
        assert answer.json()["reasons"]["database"]["code"] == "read_only"
        assert (await node.client.get("/api/fal-jobs")).status_code == 200
    await readiness(node, 200)


async def test_many_who_ask_whether_the_node_is_ready_cost_one_write(node: Node) -> None:
    """Strangers may ask; the answer is shared for a while."""
    writes = 0
    original = postgresql.Postgresql._allocate

    def counted(self: postgresql.Postgresql, *arguments: object) -> None:
        nonlocal writes
        writes += 1
        original(self, *arguments)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(postgresql.Postgresql, "_allocate", counted)
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(node.client.get("/readyz") for _ in range(50)))
        took = asyncio.get_running_loop().time() - began
    assert writes <= 1 + took / 0.5


async def test_a_url_with_several_hosts_reaches_the_one_that_answers(postgres_url: str, fal: FalDouble) -> None:
    host = urlsplit(postgres_url).netloc.rpartition("@")[2]
    url = postgres_url.replace(host, f"127.0.0.1:{quiet_port()},{host}") + "?target_session_attrs=read-write"
    async with running_node(fal, database_url=url) as node:
        assert await accepted(node, "job-1") == 0
        assert (await node.client.get("/readyz")).status_code == 200
