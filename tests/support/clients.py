"""Real clients of Hookcast's event streams, used as their documentation shows.

A `Watch` opens a stream and yields its events, each as a `Seen`. `support.sockets` has the clients of WebSockets.
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
from playwright.async_api import Browser, CDPSession, Page, async_playwright

DEADLINE = 120.0
CHROMIUM = "/usr/bin/chromium"
HEADLESS = "/usr/bin/chromium-headless-shell"  # a page takes half of the CPU; its tabs never hide
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
SCRIPTS = Path(__file__).parents[1] / "clients"
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


Watch = Callable[[str], AbstractAsyncContextManager[Seeing]]


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


async def network(cdp: CDPSession, *, there: bool) -> None:
    """Take a page's network away, or give it one: with a latency, else a machine without a network stays offline."""
    conditions = {"offline": not there, "latency": 1, "downloadThroughput": -1, "uploadThroughput": -1}
    await cdp.send("Network.enable")
    await cdp.send("Network.emulateNetworkConditions", conditions)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Launch Debian's Chromium, the engine alone."""
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=HEADLESS, args=FLAGS)
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
        process = await asyncio.create_subprocess_exec(CHROMIUM, *FLAGS, *options, stderr=asyncio.subprocess.PIPE)
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
