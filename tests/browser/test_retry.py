"""Browsers take a `retry:` line that no blank line follows: before an event, and as the last line of a stream."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from support.clients import chromium, page_at
from support.falhost import served_app
from support.firefox import firefox_at, running_firefox
from support.server import until

pytestmark = pytest.mark.anyio
EVENT = "id: 1\nevent: job\ndata: {}\n\n"
STREAMS = {
    "/soon": "retry: 1\n",
    "/soon-with-an-event": f"retry: 1\n{EVENT}",
    "/soon-after-an-event": f"{EVENT}retry: 1\n",
    "/late": "retry: 3600000\n",
    "/late-with-an-event": f"retry: 3600000\n: ping\n{EVENT}",
    "/unsaid": ": ping\n",  # browsers take 3 to 5 seconds by themselves
}
WATCH = f"{json.dumps(list(STREAMS))}.forEach(path => new EventSource(path)) || true"


@asynccontextmanager
async def streaming() -> AsyncIterator[tuple[str, list[str]]]:
    """A server whose streams end at once; yield its URL and the paths that were asked for."""
    asked: list[str] = []

    async def answer(request: Request) -> Response:
        path = request.url.path
        if path not in STREAMS:
            return PlainTextResponse("A page.")
        asked.append(path)
        return Response(STREAMS[path], media_type="text/event-stream")

    async with served_app(Starlette(routes=[Route("/{path:path}", answer)])) as url:
        yield url, asked


async def check(asked: list[str]) -> None:
    """Once the stream that names no time has been opened again, the others have obeyed theirs."""
    await until(lambda: asked.count("/unsaid") == 2)
    times = Counter(asked)
    assert all(times[path] > 1 for path in STREAMS if path.startswith("/soon"))
    assert all(times[path] == 1 for path in STREAMS if path.startswith("/late"))


async def test_chromium_takes_the_line() -> None:
    """As the specification says: a field counts when its line ends."""
    async with streaming() as (url, asked), chromium() as browser, page_at(browser, url) as (page, _):
        await page.evaluate(WATCH)
        await check(asked)


async def test_firefox_takes_the_line() -> None:
    async with streaming() as (url, asked), running_firefox() as firefox, firefox_at(firefox, url) as tab:
        await tab.ask(WATCH)
        await check(asked)
