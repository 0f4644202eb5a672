"""The clients that people use, and the event loop that `hookcast serve` runs on."""

from collections.abc import AsyncIterator
from functools import partial

import pytest
from playwright.async_api import Browser

from support.clients import (
    Connect,
    Watch,
    chromium,
    chromium_events,
    chromium_socket,
    curl,
    fetch_events,
    httpx_sse,
    node_events,
    node_socket,
    python_socket,
)


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Asyncio, by uvloop."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for all tests of a module; each page is a context of its own."""
    async with chromium() as running:
        yield running


@pytest.fixture(params=["curl", "httpx-sse", "eventsource", "fetch-event-source", "chromium"])
def watch(request: pytest.FixtureRequest) -> Watch:
    """Each client of SSE."""
    if request.param == "chromium":
        return partial(chromium_events, request.getfixturevalue("browser"))
    found: dict[str, Watch] = {
        "curl": curl,
        "httpx-sse": httpx_sse,
        "eventsource": node_events,
        "fetch-event-source": fetch_events,
    }
    return found[request.param]


@pytest.fixture(params=["websockets", "ws", "chromium"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """Each client of WebSocket."""
    if request.param == "chromium":
        return partial(chromium_socket, request.getfixturevalue("browser"))
    found: dict[str, Connect] = {"websockets": python_socket, "ws": node_socket}
    return found[request.param]
