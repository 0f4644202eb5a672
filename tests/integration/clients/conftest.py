"""The clients that people use, and the event loop that `hookcast serve` runs on."""

from functools import partial

import pytest

from support.clients import Watch, chromium_events, curl, fetch_events, httpx_sse, node_events
from support.loops import UVLOOP
from support.sockets import Connect, chromium_socket, node_socket, python_socket


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Asyncio, by uvloop."""
    return UVLOOP


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
