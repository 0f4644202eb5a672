"""The backends of docs/adopt/backends.md, taken from the page, each run by its framework's own server."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, Route

from hookcast.client import Hookcast
from support.access import API_KEY
from support.adopting import backend_environment, running_hookcast
from support.backends import DEADLINE, PACKAGES, running_command
from support.readmes import code_blocks, write_files
from support.server import Node

pytestmark = pytest.mark.anyio
PAGE = "docs/adopt/backends.md"
HERE = Path(__file__).parent
COMMANDS = {
    "Express": ("node", "server.mjs"),
    "FastAPI": (sys.executable, "-m", "uvicorn", "main:app", "--port", "PORT"),
    "Django": (sys.executable, str(HERE / "django_project.py"), "PORT"),
    "Rails": ("puma", "--bind", "tcp://127.0.0.1:PORT", "--threads", "2:2", str(HERE / "rails_project.ru")),
}
SESSIONS = {
    "session.mjs": 'export const currentUser = (request) => request.get("X-User") ?? null;\n',
    "session.py": """
from fastapi import HTTPException, Request

def current_user(request: Request) -> str:
    if user := request.headers.get("X-User"):
        return user
    raise HTTPException(401)
""",
}


@pytest.fixture(scope="module")
async def hookcast(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Node]:
    """A Hookcast for all of them."""
    async with running_hookcast(tmp_path_factory.mktemp("hookcast"), "*") as node:
        yield node


@pytest.fixture(scope="module", params=list(COMMANDS))
async def backend(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, hookcast: Node
) -> AsyncIterator[httpx.AsyncClient]:
    """What a page asks."""
    folder = tmp_path_factory.mktemp("backend")
    write_files(folder, PAGE, f"## {request.param}")
    (folder / "node_modules").symlink_to(PACKAGES)
    for name, code in SESSIONS.items():
        (folder / name).write_text(code)
    environment = dict(backend_environment(hookcast.url), RAILS_ENV="production")
    async with (
        running_command(folder, COMMANDS[request.param], environment=environment) as address,
        httpx.AsyncClient(base_url=address, timeout=DEADLINE) as client,
    ):
        yield client


async def token_of(backend: httpx.AsyncClient, user: str) -> str:
    """Have a token minted."""
    answer = await backend.post("/api/token", json={}, headers={"X-User": user})
    return str(answer.raise_for_status().json()["token"])


async def test_a_user_submits_and_sees_the_outcome_with_a_token(backend: httpx.AsyncClient, hookcast: Node) -> None:
    answer = await backend.post("/api/generate", json={"prompt": "a lighthouse"}, headers={"X-User": "user-1"})
    assert answer.status_code == 202, answer.text
    assert API_KEY not in answer.text
    async with Hookcast(hookcast.url, token=await token_of(backend, "user-1")) as client:
        result = await client.wait(answer.json()["requestId"], timeout=DEADLINE)
    assert ".mp4" in str(result)


async def test_another_user_does_not_see_it(backend: httpx.AsyncClient, hookcast: Node) -> None:
    answer = await backend.post("/api/generate", json={"prompt": "a lighthouse"}, headers={"X-User": "user-1"})
    headers = {"Authorization": f"Bearer {await token_of(backend, 'user-2')}"}
    seen = await hookcast.client.get(f"/api/fal-jobs/{answer.json()['requestId']}", headers=headers)
    assert seen.status_code == 404


@pytest.mark.parametrize("path", ["/api/generate", "/api/token"])
async def test_nobody_signed_in_is_refused(backend: httpx.AsyncClient, path: str) -> None:
    answer = await backend.post(path, json={"prompt": "a lighthouse"})
    assert answer.status_code == 401


@pytest.mark.parametrize("backend", ["Express"], indirect=True)
async def test_the_page_shows_the_outcome(backend: httpx.AsyncClient, hookcast: Node, browser: Browser) -> None:
    (html,) = code_blocks(PAGE, "## In the page", "html")
    script = html.replace("http://127.0.0.1:8000", hookcast.url).replace('<script type="module">', "")
    page = await browser.new_page(bypass_csp=True)
    await page.route("**/api/{generate,token}", _signed_in)
    await page.goto(str(backend.base_url))
    async with page.expect_console_message(lambda line: line.text.endswith(".mp4"), timeout=DEADLINE * 1000):
        await page.add_script_tag(type="module", content=script.replace("</script>", ""))
    await page.close()


async def _signed_in(route: Route) -> None:
    await route.continue_(headers={**route.request.headers, "x-user": "user-1"})
