"""The browser library where only polling works: a feed costs its changes, not its jobs."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hookcast.jobs import Registered
from support.clients import SCRIPTS
from support.fal import FalDouble
from support.server import Node, running_node

pytestmark = pytest.mark.anyio
LIBRARY = Path(__file__).parents[2] / "server/hookcast/static/hookcast.js"
JOBS = 250


@asynccontextmanager
async def watching(node: Node, owner: str) -> AsyncIterator[asyncio.StreamReader]:
    """What the library prints that watches this owner's jobs."""
    command = ["node", str(SCRIPTS / "polled-feed.mjs"), LIBRARY.as_uri(), node.url, owner]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        process.kill()
        await process.wait()


async def test_a_feed_is_polled_for_its_changes_only(database_url: str, fal: FalDouble) -> None:
    """All jobs once, then empty answers until one has changed."""
    async with running_node(fal, database_url=database_url) as node:
        apply = node.services.dispatcher.apply
        await asyncio.gather(*(apply(f"job-{number:03}", Registered(owner="me")) for number in range(JOBS)))
        async with watching(node, "me") as output:

            async def line() -> dict[str, Any]:
                found: dict[str, Any] = json.loads(await output.readline())
                return found

            states, answers = list[dict[str, Any]](), list[dict[str, Any]]()
            while len(states) < JOBS or len(answers) < 6:
                said = await line()
                (states if "requestId" in said else answers).append(said)
            assert sorted((job["requestId"], job["version"]) for job in states) == [
                (f"job-{number:03}", 1) for number in range(JOBS)
            ]
            assert [(said["status"], said["limit"]) for said in answers] == [
                *[(200, "200")] * 2,
                (200, "20"),
                *[(304, "20")] * 3,
            ]
            await node.post_webhook(node.fal.webhook("job-007"))
            while "requestId" not in (said := await line()):
                assert said["status"] == 200 or not said["bytes"]
            assert (said["requestId"], said["version"]) == ("job-007", 2)
