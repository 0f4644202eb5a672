"""Real clients of Hookcast's streams, used as their documentation shows, behind two small interfaces.

A `Watch` opens an SSE stream and yields its events; a `Connect` opens a WebSocket. Every client reports each event as
a `Seen`.
"""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Protocol

import httpx
from httpx_sse import aconnect_sse
from playwright.async_api import Browser, Page, async_playwright
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

DEADLINE = 120.0
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
SCRIPTS = Path(__file__).parents[1] / "clients"
PING = '{"type":"ping"}'
LONGEST_LINE = 16 * 1024 * 1024


class Seen(NamedTuple):
    """One observation of a client: an event with its id, a message, an error, an open or a close."""

    event: str
    id: str = ""
    data: str = ""

    def json(self) -> Any:
        """Decode the data as JSON."""
        return json.loads(self.data)


class Seeing(Protocol):
    """A client's observations, in order. Ends when the client has ended."""

    def __aiter__(self) -> AsyncIterator[Seen]: ...

    async def __anext__(self) -> Seen: ...


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


Watch = Callable[[str], AbstractAsyncContextManager[Seeing]]
Connect = Callable[[str], AbstractAsyncContextManager[Socket]]


@asynccontextmanager
async def program(
    *command: str, errors: int | None = None, trust: Path | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a client program inside the block; `trust` is a certificate for Node."""
    environment = {} if trust is None else {"NODE_EXTRA_CA_CERTS": str(trust)}
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=SCRIPTS,
        env={"PATH": os.environ["PATH"], **environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=errors,
        limit=LONGEST_LINE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def output(process: asyncio.subprocess.Process) -> asyncio.StreamReader:
    """Return the program's stdout."""
    assert process.stdout is not None
    return process.stdout


class Happenings:
    """Parses a program's JSON lines."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    def __aiter__(self) -> AsyncIterator[Seen]:
        return self

    async def __anext__(self) -> Seen:
        line = await self._reader.readline()
        if not line:
            raise StopAsyncIteration
        return Seen(**json.loads(line))


class Frames:
    """Parses raw event-stream bytes, as from `curl -N`; a comment becomes an event named `:`."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    def __aiter__(self) -> AsyncIterator[Seen]:
        return self

    async def __anext__(self) -> Seen:
        frame = await self._frame()
        if not frame:
            raise StopAsyncIteration
        return Seen(**frame)

    async def _frame(self) -> dict[str, str]:
        frame: dict[str, str] = {}
        while (line := (await self._reader.readline()).decode().removesuffix("\n")) or not self._reader.at_eof():
            if not line:
                break
            name, _, value = line.partition(": ")
            if not name:
                return {"event": ":", "data": value}
            frame |= {} if name == "retry" else {name: value}
        return frame


class Arriving:
    """A queue that callbacks fill."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Seen] = asyncio.Queue()

    def put(self, happening: dict[str, str]) -> None:
        """Enqueue an observation; the callback."""
        self.queue.put_nowait(Seen(**happening))

    def __aiter__(self) -> AsyncIterator[Seen]:
        return self

    async def __anext__(self) -> Seen:
        return await self.queue.get()


async def after(seeing: Seeing, *left_out: str) -> Seen:
    """Return the next observation whose event is none of these."""
    return await anext(seen async for seen in seeing if seen.event not in left_out)


# SSE

STATUS = (
    "-w",
    "event: status\\nid: %{http_version}\\ndata: %{http_code}\\n\\n",
)  # curl's write-out: a final status event


@asynccontextmanager
async def curl(url: str, *options: str) -> AsyncIterator[Seeing]:
    """Watch with `curl -N`."""
    async with program("curl", "-sN", *options, url) as process:
        yield Frames(output(process))


@asynccontextmanager
async def httpx_sse(url: str) -> AsyncIterator[Seeing]:
    """Watch with Python's httpx-sse."""
    async with httpx.AsyncClient(timeout=DEADLINE) as client, aconnect_sse(client, "GET", url) as source:
        yield (Seen(event.event, event.id, event.data) async for event in source.aiter_sse())


@asynccontextmanager
async def node_events(url: str, *, trust: Path | None = None) -> AsyncIterator[Seeing]:
    """Watch with npm's `eventsource`, which reconnects as browsers do."""
    async with program("node", "node.mjs", "events", url, trust=trust) as process:
        yield Happenings(output(process))


@asynccontextmanager
async def fetch_events(url: str) -> AsyncIterator[Seeing]:
    """Watch with npm's `@microsoft/fetch-event-source`, parsing the data of each event, as its users do."""
    async with program("node", "node.mjs", "fetch", url) as process:
        yield Happenings(output(process))


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Launch Debian's Chromium."""
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        await browser.close()


@asynccontextmanager
async def untouched_chromium() -> AsyncIterator[Browser]:
    """Launch Debian's Chromium without Playwright's defaults, which keep pages visible and disable the bfcache."""
    with TemporaryDirectory() as profile:
        options = (
            "--headless",
            "--no-first-run",
            "--remote-debugging-port=0",
            f"--user-data-dir={profile}",
            "about:blank",
        )
        process = await asyncio.create_subprocess_exec(
            "/usr/bin/chromium", *FLAGS, *options, stderr=asyncio.subprocess.PIPE
        )
        try:
            address = await asyncio.wait_for(_devtools(process), DEADLINE)
            async with async_playwright() as driver:
                yield await driver.chromium.connect_over_cdp(address, no_defaults=True)
        finally:
            process.terminate()
            await process.communicate()


async def _devtools(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    async for line in process.stderr:
        if found := re.search(rb"listening on (ws://\S+)", line):
            return found.group(1).decode()
    raise AssertionError("Chromium did not start")


@asynccontextmanager
async def page_at(browser: Browser, url: str) -> AsyncIterator[tuple[Page, Seeing]]:
    """Open a page of the URL's origin with `watchEvents`, `openSocket` and `report`; assert that it has no errors."""
    arriving = Arriving()
    context = await browser.new_context(ignore_https_errors=True)
    page = await context.new_page()
    page.set_default_timeout(DEADLINE * 1000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.goto("/".join(url.replace("ws", "http", 1).split("/")[:3]) + "/healthz")
    await page.add_script_tag(content=(SCRIPTS / "streams.mjs").read_text())
    await page.expose_function("report", arriving.put)
    yield page, arriving
    assert errors == []
    await context.close()


@asynccontextmanager
async def chromium_events(browser: Browser, url: str) -> AsyncIterator[Seeing]:
    """Watch with Chromium's EventSource."""
    async with page_at(browser, url) as (page, seeing):
        await page.evaluate("url => { watchEvents(url, report); }", url)
        yield seeing


# WebSocket


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


# Servers for the clients


class Tap:
    """A transparent relay in front of a server that records the head of each request."""

    def __init__(self, server: str) -> None:
        self._host, _, self._port = server.removeprefix("http://").partition(":")
        self._received: list[bytearray] = []

    @property
    def requests(self) -> list[str]:
        """The heads of the requests (no request here has a body)."""
        return [head for received in self._received for head in received.decode().split("\r\n\r\n")[:-1]]

    def last_ids(self, path: str) -> list[str | None]:
        """Return the Last-Event-ID of each request for this path."""
        found = [head for head in self.requests if head.split(" ")[1] == path]
        ids = [re.search(r"(?im)^last-event-id: (.*?)\r?$", head) for head in found]
        return [None if match is None else match[1] for match in ids]

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection."""
        received = bytearray()
        self._received.append(received)
        upstream = await asyncio.open_connection(self._host, int(self._port))
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(reader, upstream[1], received))
            group.create_task(_pump(upstream[0], writer, bytearray()))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, remembered: bytearray) -> None:
    try:
        while data := await reader.read(65536):
            remembered += data
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # the other side has disconnected: close this one, too
    finally:
        writer.close()


@asynccontextmanager
async def tapped(server: str) -> AsyncIterator[tuple[str, Tap]]:
    """Run a tap in front of this server; yield its URL and the tap."""
    tap = Tap(server)
    listener = await asyncio.start_server(tap.relay, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", tap
    finally:
        listener.close()
