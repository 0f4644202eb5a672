"""Debian's Firefox, driven by WebDriver BiDi (https://w3c.github.io/webdriver-bidi/), which it implements itself.

Playwright drives only its own builds of Firefox: it sends commands that this one does not implement.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from support.clients import SCRIPTS
from support.library import DEADLINE, until_so

SCRIPT = (SCRIPTS / "library.mjs").read_text()
COMMAND = ("/usr/bin/firefox-esr", "--headless", "--no-remote", "--remote-debugging-port=0")


class Firefox:
    """A session. Commands are sent one at a time; of the events only page errors are kept."""

    def __init__(self, connection: ClientConnection) -> None:
        self.errors: list[str] = []
        self._connection = connection
        self._ids = itertools.count(1)

    async def call(self, method: str, **params: Any) -> Any:
        """Return the result of one command. Raises AssertionError with Firefox's error, and TimeoutError."""
        number = next(self._ids)
        async with asyncio.timeout(DEADLINE):
            await self._connection.send(json.dumps({"id": number, "method": method, "params": params}))
            while (message := json.loads(await self._connection.recv())).get("id") != number:
                self._note(message)
        assert message["type"] == "success", message
        return message["result"]

    def _note(self, event: dict[str, Any]) -> None:
        entry = event.get("params", {})
        told = entry.get("type") == "javascript" and entry.get("level") == "error"
        if told and "ws://" not in entry["text"]:  # each failed WebSocket connection is logged as an error
            self.errors.append(entry["text"])


class FirefoxTab:
    """A page with `library.mjs`."""

    def __init__(self, firefox: Firefox, context: str) -> None:
        self._firefox = firefox
        self._context = context

    async def ask(self, expression: str) -> Any:
        """Evaluate an expression in the page, await its promise, and return it through JSON. Raises AssertionError."""
        wrapped = f"(async () => JSON.stringify((await ({expression})) ?? null))()"
        target = {"context": self._context}
        call = self._firefox.call("script.evaluate", expression=wrapped, target=target, awaitPromise=True)
        answer = await call
        assert answer["type"] == "success", answer
        return json.loads(answer["result"]["value"])

    async def begin(self, *request_ids: str, **options: Any) -> None:
        """Watch these jobs, with these options of `createHookcast`."""
        await self.ask(f"(() => {{ {SCRIPT} }})()")
        await self.ask(f"begin({json.dumps(options)})")
        await self.ask(f"watch(...{json.dumps(request_ids)})")

    async def until(self, expression: str) -> None:
        """Wait until the expression is true in the page. Raises TimeoutError."""
        await until_so(lambda: self.ask(expression))


@asynccontextmanager
async def running_firefox() -> AsyncIterator[Firefox]:
    """Start Firefox with a fresh profile, and end it with the block."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        quiet = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(*COMMAND, "--profile", folder, stdout=quiet, stderr=quiet)
        try:
            async with connect(await _address(Path(folder)), proxy=None, max_size=None) as connection:
                firefox = Firefox(connection)
                await firefox.call("session.new", capabilities={})
                await firefox.call("session.subscribe", events=["log.entryAdded"])
                yield firefox
        finally:
            process.kill()
            await process.wait()


async def _address(profile: Path) -> str:
    """Return the address from the file that Firefox writes once it listens."""
    file = profile / "WebDriverBiDiServer.json"

    async def written() -> bool:
        return file.exists() and file.read_text().endswith("}")

    await until_so(written)
    told = json.loads(file.read_text())
    return f"ws://{told['ws_host']}:{told['ws_port']}/session"


@asynccontextmanager
async def firefox_at(firefox: Firefox, url: str) -> AsyncIterator[FirefoxTab]:
    """Open a tab of the server's origin, and assert no errors. It shows text: the JSON viewer loads no modules."""
    context = (await firefox.call("browsingContext.create", type="tab"))["context"]
    await firefox.call("browsingContext.navigate", context=context, url=f"{url}/hookcast.js", wait="complete")
    yield FirefoxTab(firefox, context)
    await firefox.call("browsingContext.close", context=context)
    assert firefox.errors == []
