"""Every client lives through the loss of its server."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
from playwright.async_api import Browser

from support.clients import Seeing, Watch, after, chromium_events, curl, httpx_sse, node_events
from support.fal import FalDouble
from support.serving import Served, served
from support.sockets import Connect, chromium_socket, node_socket, python_socket

pytestmark = pytest.mark.anyio
PATH = "/api/fal-jobs/job-1/events"


@pytest.fixture
async def server(tmp_path: Path, fal: FalDouble) -> AsyncIterator[Served]:
    """A running server that knows one job."""
    async with served(tmp_path, fal) as running:
        await running.start()
        await running.register("job-1")
        yield running


async def _restart(server: Served) -> None:
    """Killed, started again, and the job has ended before anybody else has come back."""
    await server.kill()
    await server.start()
    await server.complete("job-1")


async def test_event_sources_come_back_by_themselves_and_get_the_current_state(
    server: Served, browser: Browser
) -> None:
    """`kill -9` under npm `eventsource` and Chromium: the states go on to the end, none comes twice or backwards."""
    async with AsyncExitStack() as stack:
        opened: list[Watch] = [node_events, partial(chromium_events, browser)]
        clients = [await stack.enter_async_context(watch(server.url + PATH)) for watch in opened]
        assert [(await after(client, "open")).id for client in clients] == ["1", "1"]
        await _restart(server)
        for seen in await asyncio.gather(*map(_to_the_end, clients)):
            assert seen in (["2", "end"], ["1", "2", "end"])


async def _to_the_end(seeing: Seeing) -> list[str]:
    found: list[str] = []
    while found[-1:] != ["end"]:
        found.append((await after(seeing, "open", "error")).id)
    return found


async def test_clients_that_are_opened_again_begin_with_the_current_state(server: Served) -> None:
    """`kill -9` under curl and httpx-sse: what happened meanwhile is in the first frame."""
    watches: list[Watch] = [curl, httpx_sse]
    await _restart(server)
    for watch in watches:
        async with watch(server.url + PATH) as seeing:
            assert [(seen.event, seen.id) async for seen in seeing] == [("job", "2"), ("end", "end")]


async def test_sockets_that_are_opened_again_begin_with_the_current_state(server: Served, browser: Browser) -> None:
    """`kill -9` under websockets, npm `ws` and Chromium: 1006 for the client, then all that it had missed."""
    url = server.url.replace("http", "ws", 1) + "/api/fal-jobs/ws"
    connects: list[Connect] = [python_socket, node_socket, partial(chromium_socket, browser)]
    for connect in connects:
        async with connect(url) as socket:
            await socket.send(type="subscribe", requestIds=["job-1"])
            assert [json.loads(await socket.text())["type"] for _ in range(2)] == ["subscribed", "job"]
    await _restart(server)
    for connect in connects:
        async with connect(url) as socket:
            await socket.send(type="subscribe", requestIds=["job-1"])
            messages = [json.loads(await socket.text()) for _ in range(2)]
            assert (messages[1]["job"]["version"], messages[1]["job"]["status"]) == (2, "completed")
