"""The library in Chromium behind proxies that buffer: no byte of a stream comes through, and the job still ends."""

from pathlib import Path

import pytest
from playwright.async_api import Browser

from support.certificates import make_certificate
from support.holding import holding_proxy
from support.library import until_so, watching_at
from support.proxies import running_proxy
from support.server import Node, until

pytestmark = pytest.mark.anyio
OPENING_MS = 11_000  # a stream has five seconds to begin, and is looked at every five
NEVER_LIVE = "transports.includes('websocket') || transports.includes('sse')"


async def test_a_job_ends_behind_a_proxy_that_holds_answers_and_swallows_websockets(
    node: Node, browser: Browser
) -> None:
    """The WebSocket never opens, the event stream never shows a byte; a held request brings the end."""
    await node.register("job-1")
    async with (
        holding_proxy(int(node.url.rpartition(":")[2])) as (url, proxy),
        await browser.new_context() as context,
        watching_at(context, url) as tab,
    ):
        await tab.begin("job-1")
        await until(lambda: proxy.swallowed == 1)
        await tab.page.clock.fast_forward(OPENING_MS)
        await until(lambda: proxy.held == 1)
        await tab.page.clock.fast_forward(OPENING_MS)
        await tab.live("long-poll")
        await node.post_webhook(node.fal.webhook("job-1"))
        assert await tab.end() == [["completed", "job-1"]]
        assert not await tab.ask(NEVER_LIVE)


async def test_a_job_ends_behind_an_nginx_that_buffers_and_does_not_upgrade(
    node: Node, browser: Browser, tmp_path: Path
) -> None:
    """An nginx as it is without any of the settings that Hookcast asks for, and deaf to X-Accel-Buffering."""
    await node.register("job-1")
    deaf = {"proxy_http_version": "1.0", "proxy_set_header_Upgrade": "''", "proxy_set_header_Connection": "''"}
    async with (
        running_proxy(
            "nginx", node.url, make_certificate(tmp_path), http="proxy_ignore_headers X-Accel-Buffering;", **deaf
        ) as proxy,
        await browser.new_context(ignore_https_errors=True) as context,
        watching_at(context, proxy.url) as tab,
    ):
        await tab.begin("job-1")

        async def asked_for_a_stream() -> bool:
            await tab.page.clock.fast_forward(1000)  # the pauses after refused WebSockets
            return bool(node.engine.admission.streams)

        await until_so(asked_for_a_stream)
        await tab.page.clock.fast_forward(OPENING_MS)
        await tab.live("long-poll")
        await node.post_webhook(node.fal.webhook("job-1"))
        assert await tab.end() == [["completed", "job-1"]]
        assert not await tab.ask(NEVER_LIVE)
