"""Two deployments, each with a database of its own, on one Redis."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis as RedisClient

from support.fal import FalDouble
from support.redis import Redis
from support.server import Node, running_node, until

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def deployment(fal: FalDouble, file: Path, redis_url: str) -> AsyncIterator[Node]:
    """A node with a database of its own, which hears of other nodes only through Redis."""
    shared: dict[str, Any] = {"database_url": f"sqlite:///{file}", "redis_url": redis_url, "resync_seconds": 3600.0}
    async with running_node(fal, **shared) as node:
        while (await node.client.get("/readyz")).json()["status"] != "ok":
            pass
        yield node


async def passed_on(ear: Any, status: bytes) -> None:
    """Wait until Redis has passed on a state with this status, to all who listen."""
    async for message in ear.listen():
        if message["type"] == "pmessage" and status in message["data"]:
            return


@pytest.mark.parametrize("number", ["", "/5"])
async def test_no_state_crosses_from_one_deployment_to_the_other(
    number: str, fal: FalDouble, tmp_path: Path, redis_server: Redis
) -> None:
    """Whatever the database number, which pub/sub ignores: each has a job of the same id, in the same group."""
    async with (
        RedisClient.from_url(redis_server.url).pubsub() as ear,
        deployment(fal, tmp_path / "ours.db", redis_server.url) as ours,
        deployment(fal, tmp_path / "theirs.db", redis_server.url + number) as theirs,
    ):
        await ear.psubscribe("*")
        async with ours.client.stream("GET", "/api/fal-jobs/events?requestId=job-1&group=g") as stream:
            await until(lambda: len(ours.engine.hub) == 2)
            await theirs.register("job-1", group="g", metadata={"whose": "theirs"})
            await theirs.post_webhook(fal.webhook("job-1"))
            await passed_on(ear, b"completed")
            await ours.register("job-1", group="g", metadata={"whose": "ours"})
            chunks, text = stream.aiter_text(), ""
            while "event: job" not in text:
                text += await anext(chunks)
        assert "theirs" not in text
        assert '"whose":"ours"' in text
