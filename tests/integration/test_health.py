"""GET /healthz: the process answers. GET /readyz: clients may come."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from hookcast.app import utc_now
from support.fal import FalDouble
from support.postgres import Postgres
from support.proxy import Proxy, running_proxy
from support.redis import RIGHTS, USER, Entry, running_cluster, running_redis
from support.server import Node, running_node

pytestmark = pytest.mark.anyio
OK = {"database": "ok", "falKeys": "ok", "server": "ok"}


async def becomes(node: Node, status: str, **checks: str) -> int:
    """Wait until /readyz says this, and return the status code."""
    while True:
        answer = await node.client.get("/readyz")
        said = answer.json()
        if (said["status"], said["checks"]) == (status, OK | checks):
            assert ("reasons" in said) == ("database" in checks)
            return answer.status_code


async def test_the_answer_has_the_time_by_which_jobs_are_dated(node: Node) -> None:
    """To the millisecond, so that a page can compare its own clock with it."""
    before = utc_now()
    answer = (await node.client.get("/healthz")).json()
    assert answer["status"] == "ok"
    assert before <= datetime.fromisoformat(answer["now"]) <= utc_now()


@pytest.mark.parametrize(
    ("origins", "allowed"),
    [("https://other.example", "*"), ("https://app.example", "https://app.example"), ("*", "*")],
)
async def test_pages_of_all_origins_may_read_the_answer(
    fal: FalDouble, database_url: str, origins: str, allowed: str
) -> None:
    """Unlike that of the API: so a page learns that its origin is not allowed."""
    async with running_node(fal, database_url=database_url, allowed_origins=origins) as node:
        headers = {"Origin": "https://app.example"}
        answer = await node.client.get("/healthz", headers=headers)
        assert answer.headers.get_list("access-control-allow-origin") == [allowed]
        jobs = await node.client.get("/api/fal-jobs", headers=headers)
        assert jobs.headers.get("access-control-allow-origin") == (None if "other" in origins else allowed)


async def test_a_dead_redis_takes_no_node_out(fal: FalDouble, database_url: str) -> None:
    """Nothing is lost without it; it is named, and used again once it is back."""
    with running_redis() as server:
        async with running_node(fal, database_url=database_url, redis_url=server.url) as node:
            assert await becomes(node, "ok", redis="ok") == 200
            server.stop()
            assert await becomes(node, "degraded", redis="unavailable") == 200
            server.start()
            assert await becomes(node, "ok", redis="ok") == 200


async def test_a_dead_server_of_a_cluster_takes_no_node_out(fal: FalDouble, database_url: str) -> None:
    """The others still carry their part of the states."""
    with running_cluster() as cluster:
        async with running_node(fal, database_url=database_url, redis_url=cluster.url) as node:
            assert await becomes(node, "ok", redis="ok") == 200
            cluster.servers[1].stop()
            assert await becomes(node, "degraded", redis="degraded") == 200
            for server in cluster.servers:
                server.stop()
            assert await becomes(node, "degraded", redis="unavailable") == 200


@pytest.mark.parametrize(
    ("refuses", "takes"),
    [
        (f"acl setuser {USER} -publish", f"acl setuser {USER} +publish"),
        (f"acl setuser {USER} resetchannels &hookcast", f"acl setuser {USER} {RIGHTS}"),
        ("client pause 600000 write", "client unpause"),
    ],
    ids=["no right to publish", "no right to the channels", "paused"],
)
async def test_a_redis_that_only_delivers_is_named(refuses: str, takes: str, fal: FalDouble, database_url: str) -> None:
    """Other nodes get nothing from this one, even while it has nothing to publish; in the end it is used again."""
    with running_redis() as server:
        server.cli("acl", "setuser", USER, "on", ">secret", *RIGHTS.split())
        url = Entry("secret", USER).url(f"127.0.0.1:{server.port}")
        async with running_node(fal, database_url=database_url, redis_url=url) as node:
            assert await becomes(node, "ok", redis="ok") == 200
            server.cli(*refuses.split())
            assert await becomes(node, "degraded", redis="degraded") == 200
            server.cli(*takes.split())
            assert await becomes(node, "ok", redis="ok") == 200


async def test_a_redis_that_never_took_a_message_is_named(fal: FalDouble, database_url: str) -> None:
    with running_redis() as server:
        server.cli("acl", "setuser", USER, "on", ">secret", *RIGHTS.split(), "-publish")
        url = Entry("secret", USER).url(f"127.0.0.1:{server.port}")
        async with running_node(fal, database_url=database_url, redis_url=url) as node:
            assert await becomes(node, "degraded", redis="degraded") == 200


async def test_fals_keys_out_of_reach_take_no_node_out(node: Node) -> None:
    """fal repeats its webhooks, and they are verified once the keys are there."""
    node.fal.down = True
    assert await becomes(node, "degraded", falKeys="unavailable") == 200
    node.fal.down = False
    assert await becomes(node, "ok") == 200


async def test_strangers_who_ask_all_the_time_make_the_node_ask_fal_rarely(node: Node) -> None:
    """Not once for each, also while there is no key."""
    node.fal.down = True
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(5):
        await asyncio.gather(*(node.client.get("/readyz") for _ in range(20)))
    assert len(node.fal.asked("jwks.json")) <= 2 + (loop.time() - began)
    node.fal.down = False
    await becomes(node, "ok")
    asked = len(node.fal.asked("jwks.json"))
    await asyncio.gather(*(node.client.get("/readyz") for _ in range(20)))
    assert len(node.fal.asked("jwks.json")) == asked


@pytest.fixture
async def proxy(postgres: Postgres) -> AsyncIterator[Proxy]:
    """A network in front of PostgreSQL that can fail."""
    async with running_proxy(postgres.port) as running:
        yield running


async def test_without_its_database_a_node_takes_no_clients(
    fal: FalDouble, postgres: Postgres, postgres_url: str, proxy: Proxy
) -> None:
    """Whether it refuses or hangs, the answer comes within seconds."""
    url = postgres_url.replace(f":{postgres.port}/", f":{proxy.port}/")
    async with running_node(fal, database_url=url) as node:
        assert await becomes(node, "ok") == 200
        proxy.cut()
        assert await becomes(node, "unavailable", database="unavailable") == 503
        proxy.heal()
        assert await becomes(node, "ok") == 200
        proxy.stall()
        assert await becomes(node, "unavailable", database="unavailable") == 503
        proxy.heal()


async def test_a_draining_node_takes_no_clients(node: Node) -> None:
    """Though all that it needs is there."""
    assert await becomes(node, "ok") == 200
    node.engine.admission.drain()
    assert await becomes(node, "unavailable", server="draining") == 503
