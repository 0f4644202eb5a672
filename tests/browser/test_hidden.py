"""The library in a tab of Chromium that is really hidden, behind another one, for minutes of the page's clock."""

from collections.abc import AsyncIterator

import pytest

from support.library import Watching, desktop, hidden, watching_at
from support.server import Node, until

pytestmark = pytest.mark.anyio
MINUTES_MS = 600_000


@pytest.fixture
async def tab(node: Node) -> AsyncIterator[Watching]:
    """A page in a browser where tabs hide."""
    await node.register("job-1")
    async with desktop() as context, watching_at(context, node.url) as watching:
        yield watching


@pytest.mark.parametrize("transport", ["websocket", "sse"])
async def test_a_hidden_page_that_keeps_its_connection_is_told_while_it_is_hidden(
    node: Node, tab: Watching, transport: str
) -> None:
    """Over the connection of before. The server's pings come in real time: what is silent meanwhile is no fault."""
    await tab.begin("job-1", transports=[transport], heartbeatSeconds=3600)
    await tab.live(transport)
    before = await tab.ask("transports")
    async with hidden(tab):
        await tab.page.clock.fast_forward(MINUTES_MS)
        await node.post_webhook(node.fal.webhook("job-1"))
        assert await tab.end() == [["completed", "job-1"]]
        assert await tab.ask("document.visibilityState") == "hidden"
    assert await tab.ask("transports") == before


@pytest.mark.parametrize("transport", ["websocket", "sse", "poll"])
async def test_a_hidden_page_that_pauses_is_told_as_soon_as_it_is_in_front(
    node: Node, tab: Watching, transport: str
) -> None:
    """It has no connection meanwhile, and does not wait for anything when it is back."""
    await tab.begin("job-1", transports=[transport], whenHidden="pause")
    await tab.live(transport)
    async with hidden(tab):
        await tab.until("transports.at(-1) === 'paused'")
        await until(lambda: not node.engine.admission.streams)
        await tab.page.clock.fast_forward(MINUTES_MS)
        await node.post_webhook(node.fal.webhook("job-1"))
        await tab.stop_time()
        assert await tab.ask("ended()") == []
    assert await tab.end() == [["completed", "job-1"]]
