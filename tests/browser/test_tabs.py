"""Tabs of a real Chromium that share one connection: who leads, who takes over, and who shares nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
from playwright.async_api import Browser, BrowserContext, Page, WebSocket

from hookcast.push.admission import OpenStream
from support.access import SECRET, token
from support.clients import chromium, untouched_chromium
from support.fal import FalDouble
from support.server import Node, running_node, until

pytestmark = pytest.mark.anyio
DEADLINE_MS = 120_000
TABS, CLOSES = 20, 10
JOBS = [f"job-{n}" for n in range(50)]
HANG = "setTimeout(() => { const end = Date.now() + 7_000; while (Date.now() < end); })"
SCRIPT = """async (library) => {
  const { createHookcast } = await import(library);
  const seen = [], transports = [];
  const note = (name) => (job) => seen.push(`${name} ${job.requestId} ${job.version}`);
  const handlers = {
    onUpdate: note("update"), onCompleted: note("completed"), onFailed: note("failed"),
    onTransport: (name) => transports.push(name),
  };
  const watch = (names, { token, ...options }) => {
    const client = createHookcast({ getToken: token && (() => token), ...options });
    for (const name of names) client.watch(name, handlers);
  };
  const ended = () => seen.filter((line) => line.startsWith("completed"));
  Object.assign(globalThis, { seen, transports, ended, watch });
}"""


@dataclass(eq=False)
class Tab:
    """A page, and the WebSockets that it opened."""

    page: Page
    sockets: list[WebSocket] = field(default_factory=list)

    def opened(self, socket: WebSocket) -> None:
        """Remember it."""
        self.sockets.append(socket)

    @property
    def leads(self) -> bool:
        """Whether it has a connection."""
        return any(not socket.is_closed() for socket in self.sockets)

    async def watch(self, names: Iterable[str], **options: Any) -> None:
        """Watch jobs, and wait for the connection, whoever has it."""
        await self.page.evaluate("([names, options]) => watch(names, options)", [list(names), options])
        await self.wait("transports.at(-1) === 'websocket'")

    async def wait(self, condition: str) -> None:
        """Until this is true in the page, which may be hidden: it has no frames then."""
        await self.page.wait_for_function(f"() => {condition}", polling=50)


async def _open(context: BrowserContext, address: str, library: str = "/hookcast.js") -> Tab:
    page = await context.new_page()
    page.set_default_timeout(DEADLINE_MS)
    tab = Tab(page)
    page.on("websocket", tab.opened)
    await page.goto(address)
    await page.evaluate(SCRIPT, library)
    return tab


Launch = Callable[[], AbstractAsyncContextManager[Browser]]


class Stage(NamedTuple):
    """A server, and a profile of a browser: its own, if it has one, with its tabs in a window."""

    node: Node
    context: BrowserContext


@asynccontextmanager
async def _stage(fal: FalDouble, database_url: str, launch: Launch = chromium, **settings: Any) -> AsyncIterator[Stage]:
    errors: list[str] = []
    async with running_node(fal, database_url=database_url, **settings) as node, launch() as browser:
        await asyncio.gather(*(node.register(job) for job in (*JOBS, "job", "open")))
        context = browser.contexts[0] if browser.contexts else await browser.new_context()
        context.on("weberror", lambda found: errors.append(str(found.error)))
        yield Stage(node, context)
        assert errors == []
        await context.close()


async def _tabs(context: BrowserContext, node: Node, count: int) -> list[Tab]:
    return [await _open(context, f"{node.url}/favicon.svg") for _ in range(count)]


def _leader(tabs: list[Tab]) -> Tab:
    (leader,) = [tab for tab in tabs if tab.leads]
    return leader


async def _taken_over(node: Node, old: OpenStream) -> None:
    await until(lambda: len(node.engine.admission.streams) == 1 and old not in node.engine.admission.streams)


async def _complete(node: Node, *names: str) -> None:
    for name in names:
        (await node.post_webhook(node.fal.webhook(name))).raise_for_status()


async def test_twenty_tabs_watch_fifty_jobs_through_one_connection_though_its_tab_is_closed_ten_times(
    database_url: str, fal: FalDouble
) -> None:
    """Each remaining tab is told of each end exactly once, also of those that came while nobody led."""
    async with _stage(fal, database_url) as (node, context):
        tabs = await _tabs(context, node, TABS)
        await asyncio.gather(*(tab.watch(JOBS) for tab in tabs))
        await asyncio.gather(*(tab.wait(f"seen.length === {len(JOBS)}") for tab in tabs))
        assert len(node.engine.admission.streams) == 1
        for turn in range(CLOSES):
            leader, old = _leader(tabs), next(iter(node.engine.admission.streams))
            tabs.remove(leader)
            await asyncio.gather(leader.page.close(), _complete(node, *JOBS[turn * 4 : turn * 4 + 4]))
            await _taken_over(node, old)
            await until(lambda: any(tab.leads for tab in tabs))
        await _complete(node, *JOBS[CLOSES * 4 :])
        await asyncio.gather(*(tab.wait(f"ended().length >= {len(JOBS)}") for tab in tabs))
        for tab in tabs:
            assert sorted(await tab.page.evaluate("ended()")) == sorted(f"completed {job} 2" for job in JOBS)
        assert sum(len(tab.sockets) for tab in tabs) <= CLOSES


async def test_a_tab_that_led_and_is_frozen_is_followed_at_once(database_url: str, fal: FalDouble) -> None:
    """Its connection ends with it. When it goes on, it follows, and misses nothing."""
    async with _stage(fal, database_url, untouched_chromium) as (node, context):
        leader, *others = tabs = await _tabs(context, node, 3)
        for tab in tabs:
            await tab.watch(["job", "open"])
        (stream,) = node.engine.admission.streams
        devtools = await context.new_cdp_session(leader.page)
        await devtools.send("Page.setWebLifecycleState", {"state": "frozen"})
        await _taken_over(node, stream)
        await _complete(node, "job")
        await asyncio.gather(*(tab.wait("ended().length === 1") for tab in others))
        await devtools.send("Page.setWebLifecycleState", {"state": "active"})
        await leader.wait("ended().length === 1")
        assert len(leader.sockets) == 1


async def test_a_tab_that_led_and_hangs_is_robbed(database_url: str, fal: FalDouble) -> None:
    """It holds the lock and does not answer. When it goes on, its connection ends, and it follows."""
    async with _stage(fal, database_url) as (node, context):
        tabs = await _tabs(context, node, 3)
        await asyncio.gather(*(tab.watch(["job", "open"]) for tab in tabs))
        leader, (stream,) = _leader(tabs), node.engine.admission.streams
        others = [tab for tab in tabs if tab is not leader]
        await leader.page.evaluate(HANG)
        await others[0].page.evaluate("dispatchEvent(new Event('online'))")
        await until(lambda: any(tab.leads for tab in others))
        await _taken_over(node, stream)
        await _complete(node, "job")
        await asyncio.gather(*(tab.wait("ended().length === 1") for tab in tabs))
        await until(lambda: sum(tab.leads for tab in tabs) == 1)


async def test_a_tab_that_is_left_goes_into_the_back_forward_cache_and_comes_back(
    database_url: str, fal: FalDouble
) -> None:
    """No lock, no channel and no connection keeps it out; another one leads meanwhile."""
    async with _stage(fal, database_url, untouched_chromium) as (node, context):
        leader, other = tabs = await _tabs(context, node, 2)
        for tab in tabs:
            await tab.watch(["job", "open"])
        await leader.page.evaluate("addEventListener('pageshow', (event) => { globalThis.kept = event.persisted; })")
        await leader.page.goto(f"{node.url}/readyz")
        await until(lambda: other.leads)
        await _complete(node, "job")
        await leader.page.go_back(wait_until="commit")
        await leader.wait("kept && ended().length === 1")
        assert len(leader.sockets) == 1


async def test_tabs_that_do_not_want_to_share_have_a_connection_each(database_url: str, fal: FalDouble) -> None:
    async with _stage(fal, database_url) as (node, context):
        tabs = await _tabs(context, node, 3)
        await asyncio.gather(*(tab.watch(["job"], shareTabs=False) for tab in tabs))
        assert len(node.engine.admission.streams) == 3


async def test_two_users_share_nothing(database_url: str, fal: FalDouble) -> None:
    """Two tabs of one user, with a token each, have one connection, a tab of the other user another one."""
    tokens = [token(sub="user-1"), token(sub="user-1", expires_in=900), token(sub="user-2")]
    async with _stage(fal, database_url, token_secret=SECRET) as (node, context):
        tabs = await _tabs(context, node, 3)
        for tab, each in zip(tabs, tokens, strict=True):
            await tab.watch(["job"], token=each)
        assert len(node.engine.admission.streams) == 2
        assert [tab.leads for tab in tabs] == [True, False, True]


async def test_pages_that_load_the_library_from_another_origin_share_too(database_url: str, fal: FalDouble) -> None:
    """All of it: to a browser, localhost and 127.0.0.1 are two origins."""
    async with _stage(fal, database_url) as (node, context):
        page = f"{node.url}/healthz".replace("127.0.0.1", "localhost")
        tabs = [await _open(context, page, f"{node.url}/hookcast.js") for _ in range(2)]
        for tab in tabs:
            await tab.watch(["job"])
        assert len(node.engine.admission.streams) == 1
