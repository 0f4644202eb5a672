"""An owner with 20,000 jobs: 200 tabs open together and watch, and the list pages while jobs come in."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import Raw

from hookcast.jobs import Completed, Job, Registered, unseen
from hookcast.push.subscriptions import FEED_STATES, Subscriptions
from hookcast.store import JobStore
from hookcast.transitions import advance
from hookcast.upkeep import reconciler
from support.fal import FalDouble
from support.push import nothing_left
from support.server import Node, running_node, until
from support.tabs import KINDS, Tab, open_tabs, write_jobs

pytestmark = pytest.mark.anyio
JOBS = 20_000
PENDING = 3  # the oldest ones
TABS = 200
NEVER = 3600.0


def made() -> Iterator[Job]:
    """Jobs of one owner, a millisecond apart."""
    start = datetime.now(UTC) - timedelta(minutes=1)
    for number in range(JOBS):
        moment = start + timedelta(milliseconds=number)
        job = advance(unseen(f"job-{number:05}", now=moment), Registered(owner="user-1"), now=moment)
        yield job if number < PENDING else advance(job, Completed(result=Raw(b'{"seed": 1}')), now=moment)


@pytest.fixture
async def node(database_url: str, fal: FalDouble, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Node]:
    """A server whose database has these jobs, and which asks fal about none of them."""
    monkeypatch.setattr(reconciler, "ASK_EVERY_SECONDS", NEVER)
    await write_jobs(database_url, made())
    async with running_node(fal, database_url=database_url, resync_seconds=NEVER) as running:
        yield running


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The jobs and feeds that streams have read from the store."""
    found: list[str] = []
    outlines, names = JobStore.outlines, Subscriptions.names_of

    async def noted_outlines(this: JobStore, request_ids: list[str]) -> Any:
        found.extend(request_ids)
        return await outlines(this, request_ids)

    async def noted_names(this: Subscriptions, feed: str, *given: Any) -> Any:
        found.append(feed)
        return await names(this, feed, *given)

    monkeypatch.setattr(JobStore, "outlines", noted_outlines)
    monkeypatch.setattr(Subscriptions, "names_of", noted_names)
    return found


@contextlib.asynccontextmanager
async def all_tabs(node: Node) -> AsyncIterator[list[Tab]]:
    """Tabs of the owner, half of them by each transport, which have read their first states."""
    port = int(node.url.rpartition(":")[2])
    async with contextlib.AsyncExitStack() as stack:
        opening = [open_tabs(port, kind, TABS // len(KINDS), FEED_STATES, owners=["user-1"]) for kind in KINDS]
        groups = await asyncio.gather(*map(stack.enter_async_context, opening))
        yield [tab for group in groups for tab in group]
    await until(lambda: nothing_left(node.engine))


async def test_tabs_share_what_they_read_and_a_change_is_one_push_for_each(node: Node, read: list[str]) -> None:
    """Each reads which jobs there are; their states are read a few times for all tabs, and for a change nothing is."""
    hub = node.engine.hub
    async with all_tabs(node) as tabs:
        assert [tab.states for tab in tabs] == [FEED_STATES] * TABS
        assert read.count("owner:user-1") == TABS
        assert {name for name in read if name != "owner:user-1"} == {
            f"job-{JOBS - 1 - number:05}" for number in range(FEED_STATES)
        }
        assert len(read) - TABS < TABS * FEED_STATES / 10
        await until(lambda: all(stream._backlog is None for stream in node.engine.admission.streams))  # type: ignore[attr-defined]
        read.clear()
        for number, count in zip(range(PENDING), itertools.count(FEED_STATES + 1, 2), strict=False):
            pushed = hub.pushed
            told = [tab.until(count, b"job-%05d" % number) for tab in tabs]
            await node.post_webhook(node.fal.webhook(f"job-{number:05}"))
            await asyncio.gather(*told)
            told = [tab.until(count + 1, b"new-%d" % number) for tab in tabs]
            await node.register(f"new-{number}", owner="user-1")
            await asyncio.gather(*told)
            assert hub.pushed - pushed == 2 * TABS
        assert not read


async def test_the_list_pages_stably_while_jobs_come_in_and_change(node: Node) -> None:
    """What was there when the list was begun comes exactly once, in its order, and nothing else does."""
    found: list[str] = []
    cursor: str | None = ""
    for number in itertools.count():
        query: dict[str, Any] = {"owner": "user-1", "limit": 200} | ({"cursor": cursor} if cursor else {})
        page = (await node.client.get("/api/fal-jobs", params=query)).json()
        found += [job["requestId"] for job in page["jobs"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
        await node.register(f"new-{number}", owner="user-1")
        if number < PENDING:
            await node.post_webhook(node.fal.webhook(f"job-{number:05}"))
    assert found == [f"job-{number:05}" for number in reversed(range(JOBS))]
