"""The library in Chromium on a server that asks for tokens, while these run out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser

from support.access import ADMIN, API_KEY, SECRET
from support.fal import FalDouble
from support.library import Watching, watching_at
from support.server import Node, running_node, until

pytestmark = pytest.mark.anyio
JOBS = [f"job-{number}" for number in range(5)]
STREAMS = ("websocket", "sse")
TRANSPORTS = (*STREAMS, "long-poll", "poll")
REFUSED = "not.a.token"


@pytest.fixture
async def node(database_url: str, fal: FalDouble) -> AsyncIterator[Node]:
    """A server with keys, and some jobs."""
    async with running_node(fal, database_url=database_url, api_keys=API_KEY, token_secret=SECRET) as running:
        running.client.headers.update(ADMIN)
        for name in JOBS:
            await running.register(name)
        yield running


class Backend:
    """The page's own backend: `mint` gives it one token after the other, the last one again and again."""

    def __init__(self, node: Node) -> None:
        self.asked = 0
        self._node = node
        self._next: list[str | None] = []

    async def will_give(self, *jobs: str, seconds: int, **claims: str) -> None:
        """A token for these jobs, and for so long."""
        body = {"jobs": jobs, "expiresIn": seconds, **claims}
        answer = await self._node.client.post("/api/tokens", json=body)
        self._next.append(answer.raise_for_status().json()["token"])

    def will_give_this(self, token: str | None) -> None:
        """Whatever it is; None: it fails."""
        self._next.append(token)

    def mint(self) -> str:
        """The page's way in."""
        token = self._next[min(self.asked, len(self._next) - 1)]
        self.asked += 1
        if token is None:
            raise RuntimeError("The backend is down.")
        return token


@pytest.fixture
def backend(node: Node) -> Backend:
    """Nothing given yet."""
    return Backend(node)


@asynccontextmanager
async def page_of(browser: Browser, node: Node, backend: Backend) -> AsyncIterator[Watching]:
    """A page whose getToken asks this backend."""
    async with await browser.new_context() as context, watching_at(context, node.url) as tab:
        await tab.page.expose_function("mint", backend.mint)
        yield tab


async def all_end(node: Node, tab: Watching) -> None:
    """Each job ends, and the page is told of each once."""
    for name in JOBS:
        await node.post_webhook(node.fal.webhook(name))
    assert sorted(await tab.end(len(JOBS))) == sorted(["completed", name] for name in JOBS)


@pytest.mark.parametrize("transport", STREAMS)
async def test_a_token_about_to_expire_is_renewed_once_for_all_watches(
    node: Node, browser: Browser, backend: Backend, transport: str
) -> None:
    """The server warns of its end, and the watches go on without a break."""
    await backend.will_give(*JOBS, seconds=20)  # the warning comes 30 s before the end, so at once
    await backend.will_give(*JOBS, seconds=600)
    async with page_of(browser, node, backend) as tab:
        await tab.begin(*JOBS, keyed=True, transports=[transport])
        await tab.live(transport, states=len(JOBS))
        await until(lambda: backend.asked == 2)
        await all_end(node, tab)
        assert await tab.ask("[transports, errors]") == [["connecting", transport], []]
        assert backend.asked == 2


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_refused_token_is_replaced_once_for_all_watches(
    node: Node, browser: Browser, backend: Backend, transport: str
) -> None:
    """401, or the close code 4501: getToken is asked again, and the states come."""
    backend.will_give_this(REFUSED)
    await backend.will_give(*JOBS, seconds=600)
    async with page_of(browser, node, backend) as tab:
        await tab.begin(*JOBS, keyed=True, transports=[transport])
        await tab.live(transport, states=len(JOBS))
        await all_end(node, tab)
        assert (backend.asked, await tab.ask("errors")) == (2, [])


@pytest.mark.parametrize("transport", STREAMS)
async def test_a_token_that_could_not_be_renewed_in_time_is_replaced_after_its_end(
    node: Node, browser: Browser, backend: Backend, transport: str
) -> None:
    """The watches hear that getToken failed; the stream is closed (4502); what getToken gives then counts."""
    await backend.will_give(*JOBS, seconds=2)
    backend.will_give_this(None)
    await backend.will_give(*JOBS, seconds=600)
    async with page_of(browser, node, backend) as tab:
        await tab.begin(*JOBS, keyed=True, transports=[transport])
        await until(lambda: backend.asked == 3)
        await tab.live(transport, states=len(JOBS))
        await all_end(node, tab)
        assert backend.asked == 3
        errors = set(await tab.ask("errors"))
        assert {"token_failed"} <= errors <= {"token_failed", "token_expired"}  # the latter on a slow machine


@pytest.mark.parametrize("transport", STREAMS)
async def test_a_job_that_only_a_newer_token_opens_is_shown_with_it(
    node: Node, browser: Browser, backend: Backend, transport: str
) -> None:
    """The others go on meanwhile. Over a WebSocket its watch is told so."""
    await backend.will_give(*JOBS[1:], seconds=20)
    async with page_of(browser, node, backend) as tab:
        await backend.will_give(*JOBS, seconds=600)
        await tab.begin(*JOBS, keyed=True, transports=[transport])
        await until(lambda: backend.asked == 2)
        await tab.live(transport, states=len(JOBS))
        await all_end(node, tab)
        assert await tab.ask("errors") == (["not_visible"] if transport == "websocket" else [])


@pytest.mark.parametrize("transport", STREAMS)
async def test_a_job_that_is_made_later_for_the_owner_in_the_token_is_shown(
    node: Node, browser: Browser, backend: Backend, transport: str
) -> None:
    """The server does not subscribe to it, since nobody knows yet whose it will be; so it is asked for."""
    await backend.will_give(JOBS[0], seconds=600, sub="user-1")
    async with page_of(browser, node, backend) as tab:
        await tab.begin(JOBS[0], "later", keyed=True, transports=[transport])
        await tab.live(transport)
        await node.register("later", owner="user-1")
        await tab.page.clock.fast_forward(16_000)
        await tab.until("seen.length === 2")
        await node.post_webhook(node.fal.webhook("later"))
        assert await tab.end() == [["completed", "later"]]
        assert await tab.ask("transports") == ["connecting", transport]
