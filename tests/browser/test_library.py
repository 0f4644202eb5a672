"""The library in real Chromium, as a plain module script that the server serves."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page as AsyncPage
from playwright.sync_api import Page

from support.clients import chromium
from support.demo import UNHURRIED
from support.dev import Dev, launched
from support.fal import FalDouble
from support.serving import Served, served

DEADLINE_MS = 120_000
SCRIPT = """
import { createHookcast } from "/hookcast.js";
const client = createHookcast();
const seen = [], transports = [];
const note = (name) => (job) => seen.push([name, job.version, job.status]);
const handlers = {
  onUpdate: (job) => { note("update")(job); globalThis.job = job; },
  onCompleted: note("completed"), onFailed: note("failed"), onTransport: (name) => transports.push(name),
};
const ended = () => seen.filter(([name]) => name !== "update");
const watch = (requestId) => void client.watch(requestId, handlers);
const generate = async () => {
  const endpointId = "fal-ai/kling-video/v2.5-turbo/pro/text-to-video";
  watch((await client.submit({ endpointId, input: { prompt: "a lighthouse" } })).requestId);
};
Object.assign(globalThis, { seen, transports, ended, watch, generate });
"""
LADDER = ["websocket", "sse", "long-poll", "poll"]
PATHS = {"sse": "**/events?*", "long-poll": "**/*wait=*"}


@pytest.fixture
def blocked() -> int:
    """How many transports of the ladder get no way through."""
    return 0


@pytest.fixture
def plain(dev: Dev, blocked: int) -> Iterator[Page]:
    """A page of the server's origin with nothing but the script; it must not report an error."""
    with launched() as browser:
        page = browser.new_page()
        page.set_default_timeout(DEADLINE_MS)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        if blocked > 0:
            page.route_web_socket("**/ws", lambda socket: socket.close(code=1011))
        for name in LADDER[1:blocked]:
            page.route(PATHS[name], lambda route: route.abort())
        page.goto(f"{dev.address.rstrip('/')}/healthz")
        page.add_script_tag(type="module", content=SCRIPT)
        page.wait_for_function("() => globalThis.watch")
        yield page
        assert errors == []


def _outcome(page: Page) -> list[Any]:
    page.wait_for_function("() => ended().length > 0")
    found: list[Any] = page.evaluate("ended()")
    return found


@UNHURRIED
def test_a_plain_script_watches_an_emulated_job_to_its_video(plain: Page) -> None:
    """Each state once, in order, over a WebSocket; then the end, once."""
    plain.evaluate("generate()")
    outcome = _outcome(plain)
    assert [(name, status) for name, _, status in outcome] == [("completed", "completed")]
    versions = plain.evaluate("seen.filter(([name]) => name === 'update').map(([, version]) => version)")
    assert versions == sorted(set(versions))
    assert len(versions) > 2
    assert plain.evaluate("transports") == ["connecting", "websocket"]
    assert plain.evaluate("job.result.video.url").endswith(".mp4")


@UNHURRIED
@pytest.mark.parametrize("blocked", [1, 2, 3], ids=["websocket", "sse too", "long-poll too"])
def test_a_job_ends_whatever_is_blocked(plain: Page, blocked: int) -> None:
    """Each time the next transport brings the end, and none of the blocked ones was ever live."""
    plain.evaluate("generate()")
    assert [status for _, _, status in _outcome(plain)] == ["completed"]
    used = plain.evaluate("transports")
    assert LADDER[blocked] in used
    assert not set(LADDER[:blocked]) & set(used)


@asynccontextmanager
async def _plain_at(server: Served) -> AsyncIterator[AsyncPage]:
    async with chromium() as browser:
        page = await browser.new_page()
        page.set_default_timeout(DEADLINE_MS)
        await page.goto(f"{server.url}/healthz")
        await page.add_script_tag(type="module", content=SCRIPT)
        await page.wait_for_function("() => globalThis.watch")
        yield page


@pytest.mark.anyio
async def test_a_job_ends_though_its_server_is_killed_and_started_again(tmp_path: Path, fal: FalDouble) -> None:
    """The page is told of the end once, without a reload, though the webhook came while it had no connection."""
    async with served(tmp_path, fal) as server:
        await server.start()
        await server.register("job-1")
        async with _plain_at(server) as page:
            await page.evaluate("watch('job-1')")
            await page.wait_for_function("() => seen.length === 1 && transports.at(-1) === 'websocket'")
            await server.kill()
            await page.wait_for_function("() => transports.at(-1) === 'connecting'")
            await server.start()
            await server.complete("job-1")
            await page.wait_for_function("() => ended().length > 0")
            assert await page.evaluate("seen") == [
                ["update", 1, "pending"],
                ["update", 2, "completed"],
                ["completed", 2, "completed"],
            ]
