"""Thirty jobs in one page over HTTP/1.1, where a browser opens six connections to a host."""

import pytest
from playwright.async_api import Browser

from support.library import watching_at
from support.server import Node

pytestmark = pytest.mark.anyio
JOBS = [f"job-{number}" for number in range(30)]


@pytest.mark.parametrize("transport", ["websocket", "sse", "long-poll", "poll"])
async def test_thirty_jobs_end_and_leave_the_page_connections_of_its_own(
    node: Node, browser: Browser, transport: str
) -> None:
    """A request of the page's is answered while the library holds what it needs; then each job ends, once."""
    for name in JOBS:
        await node.register(name)
    async with await browser.new_context() as context, watching_at(context, node.url) as tab:
        await tab.begin(*JOBS, transports=[transport])
        await tab.live(transport, states=len(JOBS))
        assert await tab.ask("Promise.all([1, 2, 3].map(async () => (await fetch('/healthz')).status))") == [200] * 3
        for name in JOBS:
            await node.post_webhook(node.fal.webhook(name))
        assert sorted(await tab.end(len(JOBS))) == sorted(["completed", name] for name in JOBS)
        assert await tab.ask("transports.includes('connecting') && transports.length") == 2
