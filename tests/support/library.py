"""The library in a page of Chromium, with nothing of Playwright's comforts: tabs hide, freeze and wait in the cache."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.async_api import BrowserContext, CDPSession, Error, Page, async_playwright

from support.clients import FLAGS, SCRIPTS

DEADLINE = 120.0
STEP_SECONDS = 0.01
ANSWER_SECONDS = 0.3
SCRIPT = (SCRIPTS / "library.mjs").read_text()
DESKTOP = [*FLAGS, "--headless", "--no-first-run", "--remote-debugging-port=0"]


@asynccontextmanager
async def desktop() -> AsyncIterator[BrowserContext]:
    """Chromium as people start it: Playwright's own start keeps each tab in front, and has no back/forward cache."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        quiet = asyncio.subprocess.DEVNULL
        command = ["/usr/bin/chromium", *DESKTOP, f"--user-data-dir={folder}", "about:blank"]
        process = await asyncio.create_subprocess_exec(*command, stdout=quiet, stderr=quiet)
        try:
            address = await _address(Path(folder) / "DevToolsActivePort")
            async with async_playwright() as driver:
                browser = await driver.chromium.connect_over_cdp(address, no_defaults=True)
                yield browser.contexts[0]
        finally:
            process.kill()
            await process.wait()


async def _address(file: Path) -> str:
    """The port that Chromium chose, once it has written all of it down."""

    async def written() -> bool:
        return file.exists() and file.read_text().count("\n") == 1

    await until_so(written)
    return f"http://127.0.0.1:{file.read_text().splitlines()[0]}"


async def until_so(condition: Callable[[], Awaitable[object]]) -> None:
    """Ask again and again, as only a question can be asked of a browser. Raises TimeoutError."""
    async with asyncio.timeout(DEADLINE):
        while not await condition():  # noqa: ASYNC110 - a browser tells nobody
            await asyncio.sleep(STEP_SECONDS)


class Watching:
    """A page with `library.mjs`. Questions are asked from outside: the page's own timers may stand still."""

    def __init__(self, page: Page, cdp: CDPSession) -> None:
        self.page = page
        self.cdp = cdp

    async def begin(self, *request_ids: str, **options: Any) -> None:
        """Watch these, with these options of `createHookcast`; `keyed` asks the page's `mint` for tokens."""
        await self.page.evaluate(f"() => {{ {SCRIPT} }}")
        await self.page.evaluate("options => begin(options)", options)
        await self.watch(*request_ids)

    async def watch(self, *request_ids: str) -> None:
        """Watch these, too."""
        await self.page.evaluate("names => watch(...names)", list(request_ids))

    async def ask(self, expression: str) -> Any:
        """What an expression is in the page."""
        return await self.page.evaluate(expression)

    async def until(self, expression: str) -> None:
        """Wait until it is true in the page. Raises TimeoutError."""
        await until_so(lambda: self.ask(expression))

    async def live(self, transport: str = "websocket", states: int = 1) -> None:
        """Wait until states arrive this way."""
        await self.until(f"transports.at(-1) === {json.dumps(transport)} && seen.length >= {states}")

    async def end(self, count: int = 1) -> list[list[str]]:
        """Wait for so many ends, and answer them all."""
        await self.until(f"ended().length >= {count}")
        found: list[list[str]] = await self.ask("ended()")
        return found

    async def stop_time(self) -> None:
        """From now on the page's clock stands still: what still happens there has waited for nothing."""
        await self.page.clock.pause_at(await self.ask("Date.now() / 1000") + 1)

    async def back(self) -> None:
        """To the page of before, in which the library was at work; between two pages a question has no answer."""

        async def restored() -> bool:
            with suppress(Error, TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    return bool(await self.ask("typeof ended === 'function'"))
            return False

        await self.ask("void setTimeout(() => history.back())")
        await until_so(restored)

    async def freeze(self) -> None:
        """As a laptop that is shut; the tab must be hidden (Page Lifecycle)."""
        await self.cdp.send("Page.setWebLifecycleState", {"state": "frozen"})

    async def thaw(self) -> None:
        """And opened again."""
        await self.cdp.send("Page.setWebLifecycleState", {"state": "active"})


@asynccontextmanager
async def watching_at(context: BrowserContext, url: str, *, clock: bool = True) -> AsyncIterator[Watching]:
    """A tab of the server's origin, in front, whose time can be moved; nothing may fail in it.

    A context has one clock for all of its tabs, those that were closed, too: take a new one for each test.
    """
    page = await context.new_page()
    page.set_default_timeout(DEADLINE * 1000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    if clock:
        await page.clock.install()
    await page.goto(f"{url}/hookcast.js")  # a page of text, which may be kept in the back/forward cache
    yield Watching(page, await context.new_cdp_session(page))
    assert errors == []
    await page.close()


@asynccontextmanager
async def hidden(tab: Watching) -> AsyncIterator[None]:
    """Another tab is in front of this one, for the length of the block."""
    page = await tab.page.context.new_page()
    await tab.until("document.visibilityState === 'hidden'")
    yield
    await page.close()
