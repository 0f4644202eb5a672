"""The JavaScript library in a Chromium page without Playwright's defaults: tabs hide, freeze and enter the bfcache."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.async_api import BrowserContext, CDPSession, Error, Page, async_playwright

from support.clients import CHROMIUM, FLAGS, SCRIPTS

DEADLINE = 120.0
STEP_SECONDS = 0.01
ANSWER_SECONDS = 0.3
SCRIPT = (SCRIPTS / "library.mjs").read_text()
DESKTOP = [*FLAGS, "--headless", "--no-first-run", "--remote-debugging-port=0"]


@asynccontextmanager
async def desktop() -> AsyncIterator[BrowserContext]:
    """Launch Chromium as users do: Playwright's own launch keeps every tab visible, and disables the bfcache."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        quiet = asyncio.subprocess.DEVNULL
        command = [CHROMIUM, *DESKTOP, f"--user-data-dir={folder}", "about:blank"]
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
    """Return the URL of the port that Chromium chose, once its file is complete."""

    async def written() -> bool:
        return file.exists() and file.read_text().count("\n") == 1

    await until_so(written)
    return f"http://127.0.0.1:{file.read_text().splitlines()[0]}"


async def until_so(condition: Callable[[], Awaitable[object]]) -> None:
    """Poll until the condition holds: a browser offers nothing else. Raises TimeoutError."""
    async with asyncio.timeout(DEADLINE):
        while not await condition():  # noqa: ASYNC110 - a browser sends no notification
            await asyncio.sleep(STEP_SECONDS)


class Watching:
    """A page with `library.mjs`. Polled from outside, because the page's own timers may be stopped."""

    def __init__(self, page: Page, cdp: CDPSession) -> None:
        self.page = page
        self.cdp = cdp

    async def begin(self, *request_ids: str, **options: Any) -> None:
        """Watch these jobs, with these options of `createHookcast`; `keyed` gets tokens from the page's `mint`."""
        await self.page.evaluate(f"() => {{ {SCRIPT} }}")
        await self.page.evaluate("options => begin(options)", options)
        await self.watch(*request_ids)

    async def watch(self, *request_ids: str) -> None:
        """Watch more jobs."""
        await self.page.evaluate("names => watch(...names)", list(request_ids))

    async def ask(self, expression: str) -> Any:
        """Evaluate an expression in the page."""
        return await self.page.evaluate(expression)

    async def until(self, expression: str) -> None:
        """Wait until the expression is true in the page. Raises TimeoutError."""
        await until_so(lambda: self.ask(expression))

    async def live(self, transport: str = "websocket", states: int = 1) -> None:
        """Wait until states arrive over this transport."""
        await self.until(f"transports.at(-1) === {json.dumps(transport)} && seen.length >= {states}")

    async def end(self, count: int = 1) -> list[list[str]]:
        """Wait for `count` jobs to end, and return all ends."""
        await self.until(f"ended().length >= {count}")
        found: list[list[str]] = await self.ask("ended()")
        return found

    async def stop_time(self) -> None:
        """Stop the page's clock: whatever still happens did not wait for a timer.

        On a slow machine the moment may be past when the clock is told. Playwright then stops the clock and raises an
        error; the second call succeeds, since no time passes any more.
        """
        soon = "Date.now() / 1000 + 1"
        try:
            await self.page.clock.pause_at(await self.ask(soon))
        except Error:
            await self.page.clock.pause_at(await self.ask(soon))

    async def back(self) -> None:
        """Go back to the page that runs the library; while navigating, evaluation fails."""

        async def restored() -> bool:
            with suppress(Error, TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    return bool(await self.ask("typeof ended === 'function'"))
            return False

        await self.ask("void setTimeout(() => history.back())")
        await until_so(restored)

    async def freeze(self) -> None:
        """Freeze the page, as closing a laptop does; the tab must be hidden (Page Lifecycle)."""
        await self.cdp.send("Page.setWebLifecycleState", {"state": "frozen"})

    async def thaw(self) -> None:
        """Resume the page."""
        await self.cdp.send("Page.setWebLifecycleState", {"state": "active"})


@asynccontextmanager
async def watching_at(context: BrowserContext, url: str, *, clock: bool = True) -> AsyncIterator[Watching]:
    """Open a tab of the server's origin in front, with a controllable clock; assert that it has no errors.

    All tabs of a context share one clock, even closed ones: use a new context for each test.
    """
    page = await context.new_page()
    page.set_default_timeout(DEADLINE * 1000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    if clock:
        await page.clock.install()
    await page.goto(f"{url}/hookcast.js")  # a text page, eligible for the bfcache
    yield Watching(page, await context.new_cdp_session(page))
    assert errors == []
    await page.close()


@asynccontextmanager
async def hidden(tab: Watching) -> AsyncIterator[None]:
    """Put another tab in front of this one, for the length of the block."""
    page = await tab.page.context.new_page()
    await tab.until("document.visibilityState === 'hidden'")
    yield
    await page.close()
