"""The library in real Firefox, as a plain module that the server serves."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.fal import FalDouble
from support.firefox import Firefox, firefox_at, running_firefox
from support.server import Node
from support.serving import served

pytestmark = pytest.mark.anyio
ENDED = [["update", "job-1", 1, "pending"], ["update", "job-1", 2, "completed"], ["completed", "job-1", 2, "completed"]]


@pytest.fixture(scope="module")
async def firefox() -> AsyncIterator[Firefox]:
    """One for all tests."""
    async with running_firefox() as running:
        yield running


@pytest.mark.parametrize("transport", ["websocket", "sse", "long-poll", "poll"])
async def test_a_job_is_watched_to_its_end(node: Node, firefox: Firefox, transport: str) -> None:
    """Each state once, then the end, once; over the transport that is asked for."""
    await node.register("job-1")
    async with firefox_at(firefox, node.url) as tab:
        await tab.begin("job-1", transports=[transport])
        await tab.until(f"transports.at(-1) === '{transport}' && seen.length === 1")
        await node.post_webhook(node.fal.webhook("job-1"))
        await tab.until("ended().length > 0")
        assert await tab.ask("seen") == ENDED
        assert await tab.ask("transports") == ["connecting", transport]


@pytest.mark.parametrize("transport", ["websocket", "sse"])
async def test_a_job_ends_though_its_server_is_killed_and_started_again(
    tmp_path: Path, fal: FalDouble, firefox: Firefox, transport: str
) -> None:
    """The page is told of the end once, though the webhook came while it had no connection."""
    async with served(tmp_path, fal) as server:
        await server.start()
        await server.register("job-1")
        async with firefox_at(firefox, server.url) as tab:
            await tab.begin("job-1", transports=[transport])
            await tab.until(f"transports.at(-1) === '{transport}' && seen.length === 1")
            await server.kill()
            await tab.until("transports.at(-1) === 'connecting'")
            await server.start()
            await server.complete("job-1")
            await tab.until("ended().length > 0")
            assert await tab.ask("seen") == ENDED
