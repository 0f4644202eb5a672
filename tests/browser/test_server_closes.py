"""The library in Chromium on a server that restarts in order, and on one for which the page is too slow."""

import asyncio
import itertools
from pathlib import Path

import pytest
from playwright.async_api import Browser

from hookcast.push.admission import OpenStream
from support.fal import FalDouble
from support.library import DEADLINE, watching_at
from support.push import state
from support.server import Node
from support.serving import served

pytestmark = pytest.mark.anyio
STREAMS = ("websocket", "sse")
DRAIN_MS = 10_000
SIZE = 50_000
JOBS = 100


@pytest.mark.parametrize("transport", STREAMS)
async def test_a_job_ends_though_its_server_is_restarted_in_order(
    tmp_path: Path, fal: FalDouble, browser: Browser, transport: str
) -> None:
    """The page comes back within the time that the server named (`reconnect`, `retry:`), and not before."""
    async with served(tmp_path, fal) as server:
        await server.start()
        await server.register("job-1")
        async with await browser.new_context() as context, watching_at(context, server.url) as tab:
            await tab.begin("job-1", transports=[transport])
            await tab.live(transport)
            await tab.stop_time()
            await server.stop()
            await tab.until("transports.at(-1) === 'connecting'")
            await server.start()
            await server.complete("job-1")
            assert await tab.ask("ended()") == []
            await tab.page.clock.run_for(DRAIN_MS)
            assert await tab.end() == [["completed", "job-1"]]
            assert (await tab.ask("transports"))[:3] == ["connecting", transport, "connecting"]


@pytest.mark.parametrize("transport", STREAMS)
async def test_a_job_ends_though_its_page_was_too_slow_for_the_server(
    node: Node, browser: Browser, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A debugger holds the page while more states come than every buffer holds: it is closed, and comes back."""
    monkeypatch.setattr("hookcast.push.stream.SLOW_SECONDS", 0.3)
    await node.register("job-1")
    async with await browser.new_context() as context, watching_at(context, node.url) as tab:
        await tab.begin("job-1", *(f"other-{number}" for number in range(JOBS)), transports=[transport])
        await tab.live(transport)
        [slow] = node.engine.admission.streams
        paused = asyncio.Event()
        tab.cdp.on("Debugger.paused", lambda _: paused.set())
        await tab.cdp.send("Debugger.enable")
        await tab.cdp.send("Debugger.pause")
        stuck = asyncio.ensure_future(tab.ask("1"))  # a pause begins with the next statement
        await asyncio.wait_for(paused.wait(), DEADLINE)
        async with asyncio.timeout(DEADLINE):
            await fill(node, slow)
        await node.post_webhook(node.fal.webhook("job-1"))
        await tab.cdp.send("Debugger.resume")
        await stuck
        await tab.until("transports.filter((name) => name === 'connecting').length === 2")
        await tab.page.clock.run_for(5000)
        assert await tab.end() == [["completed", "job-1"]]


async def fill(node: Node, slow: OpenStream) -> None:
    """Send states until the server closes this stream: how many fit depends on the kernel and on the browser."""
    for number in itertools.count():
        if slow not in node.engine.admission.streams:
            return
        node.engine.hub.deliver(state(f"other-{number % JOBS}", version=1 + number // JOBS, pad=SIZE))
        await asyncio.sleep(0)
