"""Streams as a browser holds them in production: many at once, over HTTP/2, through each proxy."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from support.certificates import make_certificate
from support.clients import Seeing, Seen, after, page_at
from support.loops import on_uvloop
from support.proxies import KINDS, Kind, Proxy, running_proxy
from support.server import Node, until

pytestmark = [pytest.mark.anyio, on_uvloop]
STREAMS = 10  # a browser opens six connections to one host


@pytest.fixture(params=KINDS)
async def proxy(request: pytest.FixtureRequest, node: Node, tmp_path: Path) -> AsyncIterator[Proxy]:
    """Each proxy in front of the node."""
    kind: Kind = request.param
    certificate = make_certificate(tmp_path)
    async with running_proxy(kind, node.url, certificate) as running:
        yield running


async def test_one_page_watches_ten_streams_and_a_socket_and_leaves_nothing_behind(
    node: Node, proxy: Proxy, browser: Browser
) -> None:
    """More streams than a browser opens connections show each state at once; then the page is closed."""
    await node.register("job-1")
    async with page_at(browser, proxy.url) as (page, seeing):
        protocol = "() => performance.getEntriesByType('navigation')[0].nextHopProtocol"
        assert await page.evaluate(protocol) == "h2"
        await page.evaluate(
            "([url, count]) => { for (let n = 0; n < count; n++) watchEvents(url, report); }",
            [f"{proxy.url}/api/fal-jobs/job-1/events", STREAMS],
        )
        assert await _jobs(seeing) == [("job", "1")] * STREAMS
        await page.evaluate("url => { globalThis.socket = openSocket(url, report); }", proxy.socket_url)
        assert await anext(seeing) == Seen("open", data="hookcast.v1")
        await page.evaluate("""() => socket.send('{"type":"subscribe","requestIds":["job-2"]}')""")
        assert (await anext(seeing)).json()["type"] == "subscribed"
        await node.register("job-1", owner="user-1")
        assert await _jobs(seeing) == [("job", "2")] * STREAMS
        await node.post_webhook(node.fal.webhook("job-2"))
        assert (await anext(seeing)).json()["job"]["status"] == "completed"
        assert len(node.engine.admission.streams) == STREAMS + 1
    await until(lambda: len(node.engine.hub) == 0)
    await until(lambda: not node.engine.admission.streams)


async def _jobs(seeing: Seeing) -> list[tuple[str, str]]:
    found = [await after(seeing, "open") for _ in range(STREAMS)]
    return [(seen.event, seen.id) for seen in found]
