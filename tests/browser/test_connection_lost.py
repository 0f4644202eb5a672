"""The library in Chromium while its connection dies: offline and back, a shut laptop, the back/forward cache.

Where something has to happen at once, the page's clock stands still: whoever waited would wait for ever.
"""

from collections.abc import AsyncIterator
from typing import cast

import pytest
from playwright.async_api import Browser

from hookcast.push.stream import Stream
from support.clients import network
from support.library import Watching, desktop, hidden, watching_at
from support.proxy import Proxy, running_proxy
from support.server import Node, until

pytestmark = pytest.mark.anyio
STREAMS = ("websocket", "sse")
TRANSPORTS = (*STREAMS, "long-poll", "poll")


@pytest.fixture
async def proxy(node: Node) -> AsyncIterator[Proxy]:
    """What stands between the page and the server, and fails."""
    await node.register("job-1")
    async with running_proxy(int(node.url.rpartition(":")[2])) as running:
        yield running


@pytest.fixture
async def tab(proxy: Proxy, browser: Browser) -> AsyncIterator[Watching]:
    """A page behind the proxy."""
    async with await browser.new_context() as context, watching_at(context, proxy.url) as watching:
        yield watching


@pytest.fixture
async def sleeper(proxy: Proxy) -> AsyncIterator[Watching]:
    """The same in a browser where tabs hide and freeze."""
    async with desktop() as context, watching_at(context, proxy.url) as watching:
        yield watching


async def offline(tab: Watching, *, so: bool) -> None:
    """Pull the plug of the page, or put it in again."""
    await network(tab.cdp, there=not so)
    await tab.until(f"navigator.onLine === {str(not so).lower()}")


def die_unnoticed(node: Node) -> None:
    """The page's connection stays open, and brings nothing any more."""
    [stream] = node.engine.admission.streams
    cast("Stream", stream).leave()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_job_that_ended_offline_is_told_as_soon_as_the_page_is_online(
    node: Node, proxy: Proxy, tab: Watching, transport: str
) -> None:
    """After ten minutes of failures, in which the pauses have grown: without waiting for the next try."""
    await tab.begin("job-1", transports=[transport])
    await tab.live(transport)
    await offline(tab, so=True)
    proxy.cut()
    for _ in range(60):
        await tab.page.clock.run_for(10_000)
    await tab.until("transports.at(-1) === 'connecting'")
    await node.post_webhook(node.fal.webhook("job-1"))
    await tab.stop_time()
    assert await tab.ask("ended()") == []
    proxy.heal()
    await offline(tab, so=False)
    assert await tab.end() == [["completed", "job-1"]]


@pytest.mark.parametrize("transport", STREAMS)
async def test_a_connection_that_died_unnoticed_is_not_believed_when_the_page_is_online_again(
    node: Node, tab: Watching, transport: str
) -> None:
    """Its socket still looks open; the end comes through a new one."""
    await tab.begin("job-1", transports=[transport])
    await tab.live(transport)
    await tab.stop_time()
    die_unnoticed(node)
    await offline(tab, so=True)
    await node.post_webhook(node.fal.webhook("job-1"))
    await offline(tab, so=False)
    assert await tab.end() == [["completed", "job-1"]]


@pytest.mark.parametrize("transport", STREAMS)
async def test_a_frozen_page_is_told_when_it_thaws(node: Node, sleeper: Watching, transport: str) -> None:
    """Hidden still, with a connection that died meanwhile without a word."""
    await sleeper.begin("job-1", transports=[transport])
    await sleeper.live(transport)
    await sleeper.stop_time()
    async with hidden(sleeper):
        die_unnoticed(node)
        await sleeper.freeze()
        await node.post_webhook(node.fal.webhook("job-1"))
        assert await sleeper.ask("ended()") == []
        await sleeper.thaw()
        assert await sleeper.end() == [["completed", "job-1"]]


@pytest.mark.parametrize("transport", STREAMS)
async def test_a_laptop_that_slept_without_a_word_finds_out_by_its_clock(
    node: Node, tab: Watching, transport: str
) -> None:
    """No event of the page: its timers stood still, and the wall clock went on for an hour."""
    await tab.begin("job-1", transports=[transport])
    await tab.live(transport)
    die_unnoticed(node)
    await node.post_webhook(node.fal.webhook("job-1"))
    await tab.page.clock.fast_forward(3_600_000)
    assert await tab.end() == [["completed", "job-1"]]


@pytest.mark.parametrize("transport", STREAMS)
async def test_a_page_that_comes_back_from_the_cache_shows_what_is_so_now(node: Node, transport: str) -> None:
    """The library's connection does not keep it out of the cache, and is closed while the page is there."""
    await node.register("job-1")
    async with desktop() as context, watching_at(context, node.url, clock=False) as tab:
        await tab.begin("job-1", transports=[transport])
        await tab.live(transport)
        await tab.ask("addEventListener('pageshow', ({ persisted }) => { globalThis.persisted = persisted; })")
        await tab.page.goto(f"{node.url}/readyz", wait_until="commit")
        await until(lambda: not node.engine.admission.streams)
        await node.post_webhook(node.fal.webhook("job-1"))
        await tab.back()
        assert await tab.end() == [["completed", "job-1"]]
        assert await tab.ask("persisted") is True
