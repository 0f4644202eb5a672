"""docs/adopt/fal-client.md: what a Next.js app has after it, built and driven in Chromium."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from support.access import API_KEY
from support.adopting import running_hookcast
from support.clients import DEADLINE
from support.commands import clean_environment
from support.ports import quiet_port
from support.projects import BUILT, serving
from support.readmes import write_files
from support.server import Node

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]  # a build, on a busy machine
expect.set_options(timeout=DEADLINE * 1000)
PAGE = "docs/adopt/fal-client.md"
STEPS = ["## 2. Submit from a server action", "## 3. Give the page a token", "## 4. Watch in the page"]
OWN = {
    "next.config.ts": f"export default {{ turbopack: {{ root: {str(BUILT)!r} }} }};",
    "app/layout.tsx": """
import type { ReactNode } from "react";

export default function Layout({ children }: { children: ReactNode }) {
  return <html lang="en"><body>{children}</body></html>;
}
""",
    "lib/session.ts": """
import { cookies } from "next/headers";

export async function currentUser(): Promise<{ id: string } | null> {
  const id = (await cookies()).get("user")?.value;
  return id ? { id } : null;
}
""",
}


@pytest.fixture(scope="module")
def app() -> Iterator[Path]:
    """The app, checked and built, with the packages of the example: beside it, where Turbopack looks for them."""
    example = BUILT / "nextjs"
    assert (example / "built").exists(), "tests/projects/build"
    folder = Path(tempfile.mkdtemp(prefix="adopt-", dir=BUILT))  # each worker its own
    for step in STEPS:
        write_files(folder, PAGE, step)
    for name, code in OWN.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(code)
    for name in ("package.json", "tsconfig.json"):
        shutil.copyfile(example / name, folder / name)
    (folder / "node_modules").symlink_to(example / "node_modules")
    given = clean_environment({"NEXT_TELEMETRY_DISABLED": "1"})
    words = ("node_modules/.bin/next", "build")
    done = subprocess.run(words, cwd=folder, env=given, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "built").touch()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
async def hookcast(tmp_path: Path, port: int) -> AsyncIterator[Node]:
    """A Hookcast that admits the page."""
    async with running_hookcast(tmp_path, f"http://127.0.0.1:{port}", speed=0.5) as node:
        yield node


@pytest.fixture
def port() -> int:
    """Where the page is."""
    return quiet_port()


@pytest.fixture
async def page(app: Path, hookcast: Node, port: int, browser: Browser) -> AsyncIterator[Page]:
    """The page of a signed-in user; it must not report an error."""
    with serving(str(app), port, HOOKCAST_URL=hookcast.url, HOOKCAST_API_KEY=API_KEY) as address:
        context = await browser.new_context()
        await context.add_cookies([{"name": "user", "value": "user-1", "url": address}])
        page = await context.new_page()
        page.set_default_timeout(DEADLINE * 1000)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(address)
        yield page
        await context.close()
        assert errors == []


async def generate(page: Page, prompt: str) -> None:
    """Fill in the form, and send it."""
    await page.get_by_label("Prompt").fill(prompt)
    await page.get_by_role("button", name="Generate").click()


async def test_the_page_shows_progress_and_then_the_video(page: Page) -> None:
    await generate(page, "a lighthouse")
    status = page.get_by_role("status")
    await expect(status).to_have_text(re.compile("queued|running"))
    await expect(page.locator("video")).to_have_attribute("src", re.compile(r"\.mp4$"))
    await expect(status).to_have_text("completed")


async def test_the_action_refuses_a_wrong_input_in_its_words(page: Page) -> None:
    await generate(page, "  ")
    await expect(page.get_by_role("alert").first).to_have_text("Please describe the video.")


async def test_the_action_refuses_who_is_not_signed_in(page: Page) -> None:
    await page.context.clear_cookies()
    await generate(page, "a lighthouse")
    await expect(page.get_by_role("alert").first).to_have_text("Please sign in.")
