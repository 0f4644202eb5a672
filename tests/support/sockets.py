"""Real WebSocket clients, used as their documentation shows. A `Connect` opens one."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from playwright.async_api import Browser
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from support.clients import Happenings, Seeing, Seen, output, page_at, program

PING = '{"type":"ping"}'


class Socket(Protocol):
    """An open WebSocket."""

    async def send(self, **message: Any) -> None:
        """Send a message as JSON."""

    async def raw(self) -> str:
        """Return the next message, pings included."""

    async def text(self) -> str:
        """Return the next message, pings skipped."""

    async def close(self) -> None:
        """Close the connection normally."""

    async def closed(self) -> Seen:
        """Wait for the server's close; its `id` is the close code, its `data` the reason."""


Connect = Callable[[str], AbstractAsyncContextManager[Socket]]


class PythonSocket:
    """The websockets library's client."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def send(self, **message: Any) -> None:
        """Send a message as JSON."""
        await self._connection.send(json.dumps(message))

    async def raw(self) -> str:
        """Return the next message, pings included."""
        return str(await self._connection.recv())

    async def text(self) -> str:
        """Return the next message, pings skipped."""
        while (text := await self.raw()) == PING:
            pass
        return text

    async def close(self) -> None:
        """Close the connection normally."""
        await self._connection.close()

    async def closed(self) -> Seen:
        """Wait for the server's close."""
        await self._connection.wait_closed()
        return Seen("close", str(self._connection.close_code), self._connection.close_reason)


class ScriptSocket:
    """A JavaScript WebSocket: `say` sends messages; received ones are observations."""

    def __init__(self, seeing: Seeing, say: Callable[[str | None], Any]) -> None:
        self._seeing = seeing
        self._say = say

    async def send(self, **message: Any) -> None:
        """Send a message as JSON."""
        await self._say(json.dumps(message))

    async def raw(self) -> str:
        """Return the next message, pings included."""
        seen = await anext(self._seeing)
        assert seen.event == "message", seen
        return seen.data

    async def text(self) -> str:
        """Return the next message, pings skipped."""
        while (text := await self.raw()) == PING:
            pass
        return text

    async def close(self) -> None:
        """Close the connection normally."""
        await self._say(None)

    async def closed(self) -> Seen:
        """Wait for the server's close."""
        seen = await anext(self._seeing)
        assert seen.event == "close", seen
        return seen


@asynccontextmanager
async def python_socket(url: str, **options: Any) -> AsyncIterator[Socket]:
    """Connect with Python's websockets; permessage-deflate is offered, the default. Messages may have any size."""
    offered = [Subprotocol("hookcast.v1")]
    async with connect(url, subprotocols=offered, max_size=None, proxy=None, **options) as connection:
        assert connection.subprotocol == "hookcast.v1"
        yield PythonSocket(connection)


@asynccontextmanager
async def node_socket(url: str) -> AsyncIterator[Socket]:
    """Connect with npm's `ws`."""
    async with program("node", "node.mjs", "socket", url) as process:
        seeing, stdin = Happenings(output(process)), process.stdin
        assert stdin is not None
        assert await anext(seeing) == Seen("open", data="hookcast.v1")

        async def say(text: str | None) -> None:
            if text is None:
                stdin.close()
            else:
                stdin.write(text.encode() + b"\n")

        yield ScriptSocket(seeing, say)


@asynccontextmanager
async def chromium_socket(browser: Browser, url: str) -> AsyncIterator[Socket]:
    """Connect with Chromium's WebSocket."""
    async with page_at(browser, url) as (page, seeing):
        await page.evaluate("url => { globalThis.socket = openSocket(url, report); }", url)
        assert await anext(seeing) == Seen("open", data="hookcast.v1")
        say = "text => { text === null ? socket.close() : socket.send(text); }"
        yield ScriptSocket(seeing, lambda text: page.evaluate(say, text))
