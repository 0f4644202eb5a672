"""docs/adopt/polling.md: the component with a polling hook, and with Hookcast's, each built, in Chromium."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from support.access import ADMIN
from support.adopting import built_app, running_hookcast, running_node_script
from support.clients import DEADLINE
from support.ports import quiet_port
from support.readmes import apply_diff, code_blocks, write_files
from support.server import Node

pytestmark = pytest.mark.anyio
PAGE = "docs/adopt/polling.md"
BACKENDS = "docs/adopt/backends.md"
ENDPOINT = "fal-ai/kling-video/v2.5-turbo/pro/text-to-video"
SESSION = 'export const currentUser = () => "user-1";\n'
expect.set_options(timeout=DEADLINE * 1000)
OLD_BACKEND = Path(__file__).parent / "old_backend.mjs"


@pytest.fixture
def port() -> int:
    """Where the page is."""
    return quiet_port()


@pytest.fixture
async def hookcast(tmp_path: Path, port: int) -> AsyncIterator[Node]:
    """A Hookcast that admits the page."""
    async with running_hookcast(tmp_path, f"http://127.0.0.1:{port}", speed=4) as node:
        yield node


@pytest.fixture(params=["before", "after"])
async def page(
    request: pytest.FixtureRequest, tmp_path: Path, hookcast: Node, port: int, browser: Browser
) -> AsyncIterator[Page]:
    """The app, before and after the guide; it must not report an error."""
    app, backend = tmp_path / "app", tmp_path / "backend"
    backend.mkdir()
    write_files(app, PAGE, "## What you have")
    if request.param == "after":
        follow(app)
        write_files(backend, BACKENDS, "## Express")
        (backend / "session.mjs").write_text(SESSION)
        script = "server.mjs"
    else:
        (backend / "old.mjs").write_text(OLD_BACKEND.read_text())
        script = "old.mjs"
    async with running_node_script(backend, script, hookcast.url) as api:
        with built_app(app, port, api, VITE_HOOKCAST_URL=hookcast.url) as address:
            page = await browser.new_page()
            page.set_default_timeout(DEADLINE * 1000)
            errors: list[str] = []
            page.on("pageerror", lambda error: errors.append(str(error)))
            await page.goto(address)
            yield page
            await page.close()
            assert errors == []


def follow(app: Path) -> None:
    """Do with the app what the guide says: the provider, one line of the component, and the hook is deleted."""
    write_files(app, PAGE, "## 3. Add the provider")
    (diff,) = code_blocks(PAGE, "## 4. Change the import", "diff")
    assert [line[0] for line in diff.splitlines()] == [" ", "-", "+"]
    apply_diff(app / "src/VideoGenerator.tsx", diff)
    (app / "src/useFalJob.ts").unlink()


async def test_the_component_shows_progress_and_then_the_video(page: Page) -> None:
    button = page.get_by_role("button", name="Generate")
    await button.click()
    await expect(page.get_by_role("progressbar")).to_be_visible()
    await expect(button).to_be_disabled()
    await expect(page.locator("video")).to_have_attribute("src", re.compile(r"\.mp4$"))
    await expect(page.get_by_role("status")).to_have_text("Your video is ready.")
    await expect(page.get_by_role("progressbar")).to_have_count(0)
    await expect(button).to_be_enabled()


async def test_the_component_shows_why_a_job_failed(page: Page, hookcast: Node) -> None:
    submission = {"endpointId": ENDPOINT, "owner": "user-1", "input": {"_emulator": {"faults": ["model_error"]}}}
    answer = await hookcast.client.post("/api/fal-jobs", json=submission, headers=ADMIN)
    failing = {"requestId": answer.raise_for_status().json()["requestId"]}
    await page.route("**/api/generate", lambda route: route.fulfill(json=failing))
    await page.get_by_role("button", name="Generate").click()
    await expect(page.get_by_role("progressbar")).to_be_visible()
    await expect(page.get_by_role("alert")).not_to_be_empty()
    await expect(page.get_by_role("status")).to_have_text("Please try another prompt.")
    await expect(page.get_by_role("progressbar")).to_have_count(0)
    await expect(page.get_by_role("button", name="Generate")).to_be_enabled()
    await expect(page.locator("video")).to_have_count(0)


@pytest.mark.parametrize("page", ["after"], indirect=True)
async def test_with_hookcast_nothing_polls(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    async with page.expect_websocket() as opened:
        await page.get_by_role("button", name="Generate").click()
    assert (await opened.value).url.endswith("/api/fal-jobs/ws")
    await expect(page.locator("video")).to_have_count(1)
    assert not [url for url in asked if "/api/fal-jobs/" in url]
