"""docs/adopt/sveltekit.md: what a SvelteKit app has after it, built and driven in Chromium."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, Route, expect

from support.access import API_KEY
from support.adopting import running_hookcast
from support.clients import DEADLINE
from support.ports import quiet_port
from support.projects import BUILT, serving
from support.readmes import write_files
from support.server import Node

pytestmark = pytest.mark.anyio
expect.set_options(timeout=DEADLINE * 1000)
PROMPT = "a lighthouse"


@pytest.fixture
def port() -> int:
    """Where the page is."""
    return quiet_port()


@pytest.fixture
def speed() -> float:
    """How much faster than fal the jobs run."""
    return 10


@pytest.fixture
async def hookcast(tmp_path: Path, port: int, speed: float) -> AsyncIterator[Node]:
    """A Hookcast that admits the page."""
    async with running_hookcast(tmp_path, f"http://127.0.0.1:{port}", speed=speed) as node:
        yield node


@pytest.fixture
def site(tmp_path: Path, hookcast: Node, port: int) -> Iterator[str]:
    """The address of the app that tests/projects/build has built, with the page's code of today."""
    for heading in ("## 2. On the server", "## 3. In the pages"):
        write_files(tmp_path / "page", "docs/adopt/sveltekit.md", heading)
    for file in (tmp_path / "page/src").rglob("*.*"):
        assert (BUILT / "sveltekit" / file.relative_to(tmp_path / "page")).read_text() == file.read_text(), file
    origin = {"ORIGIN": f"http://127.0.0.1:{port}"}
    with serving("sveltekit", port, HOOKCAST_URL=hookcast.url, HOOKCAST_API_KEY=API_KEY, **origin) as address:
        yield address


@pytest.fixture
async def page(site: str, browser: Browser) -> AsyncIterator[Page]:
    """The page of a signed-in user; it must not report an error."""
    context = await browser.new_context()
    await context.add_cookies([{"name": "user", "value": "user-1", "url": site}])
    page = await context.new_page()
    page.set_default_timeout(DEADLINE * 1000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.goto(site)
    yield page
    await context.close()
    assert errors == []


async def generate(page: Page) -> None:
    """Fill in the form, and send it."""
    await page.get_by_label("Prompt").fill(PROMPT)
    await page.get_by_role("button", name="Generate").click()


async def test_a_new_job_appears_in_the_list_and_completes(page: Page) -> None:
    await generate(page)
    await expect(page.get_by_role("listitem")).to_have_text([f"{PROMPT}: completed"])


@pytest.mark.parametrize("speed", [0.5])
async def test_a_jobs_page_shows_progress_and_then_the_video(page: Page) -> None:
    await generate(page)
    await page.get_by_role("link", name=PROMPT).click()
    await expect(page.get_by_role("status")).to_have_text(re.compile("queued|running"))
    await expect(page.locator("video")).to_have_attribute("src", re.compile(r"\.mp4$"))
    await expect(page.get_by_role("status")).to_have_text("completed")


async def test_the_server_renders_what_it_knows(page: Page, browser: Browser) -> None:
    """Without JavaScript the list and the video are there; then nobody else may see the video."""
    await generate(page)
    await page.get_by_role("link", name=PROMPT).click()
    await expect(page.locator("video")).to_have_count(1)
    context = await browser.new_context(java_script_enabled=False, storage_state=await page.context.storage_state())
    plain = await context.new_page()
    await plain.goto(page.url)
    await expect(plain.locator("video")).to_have_attribute("src", re.compile(r"\.mp4$"))
    await plain.goto("/".join(page.url.split("/")[:3]))
    await expect(plain.get_by_role("listitem")).to_have_text([f"{PROMPT}: completed"])
    await context.clear_cookies()
    refused = await plain.goto(page.url)
    assert refused is not None
    assert refused.status == 404
    await context.close()


async def test_a_link_that_is_clicked_before_the_form_is_answered_is_followed(page: Page) -> None:
    """The job is in the list before the answer, which must not cancel the navigation."""
    clicked, answered = asyncio.Event(), asyncio.Event()

    async def answer_late(route: Route) -> None:
        response = await route.fetch()
        await clicked.wait()
        await route.fulfill(response=response)

    async def load_later(route: Route) -> None:
        clicked.set()
        await answered.wait()
        await route.continue_()

    async with page.expect_websocket():  # hydrated: before that the browser itself sends the form
        await page.reload()
    await page.route(page.url, answer_late)
    await page.route(re.compile(r"__data\.json"), load_later)
    await generate(page)
    await page.get_by_role("link", name=PROMPT).click()
    await expect(page.get_by_label("Prompt")).to_have_value("")  # since the answer
    answered.set()
    await expect(page.locator("video")).to_have_count(1)


async def test_who_is_not_signed_in_is_refused(page: Page) -> None:
    await page.context.clear_cookies()
    await page.reload()
    await generate(page)
    await expect(page.get_by_role("alert")).to_have_text("Please sign in.")
    assert (await page.request.post(f"{page.url}token")).status == 401
