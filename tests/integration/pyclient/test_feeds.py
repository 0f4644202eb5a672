"""`Hookcast.watch_owner`, `watch_group`, `watch_all` and `list`: many jobs, across restarts and proxies."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from hookcast.client import Hookcast, Job, NotFound, Notice, Refused, Transport, Unreachable, feeds
from support.access import ADMIN, API_KEY, SETTINGS, token
from support.fakes import Sleeper
from support.fal import FalDouble
from support.push import nothing_left
from support.server import Node, running_node, until
from support.stand import buffering_proxy

pytestmark = pytest.mark.anyio
CROWD = 20


def quick(url: str, **options: Any) -> Hookcast:
    """A client that does not pause for long."""
    return Hookcast(url, **{"sleep": Sleeper(free=True), "heartbeat": 0.2, "timeout": 5.0, **options})


async def named(states: AsyncGenerator[Job, None], count: int) -> list[tuple[str, int]]:
    """The next states."""
    return [((job := await anext(states)).request_id, job.version) for _ in range(count)]


async def test_an_owners_watch_shows_each_job_and_does_not_end(node: Node) -> None:
    """Current ones, later ones, changes and ends; nobody else's."""
    await node.register("old", owner="user-1")
    async with Hookcast(node.url) as client, aclosing(client.watch_owner("user-1")) as states:
        assert await named(states, 1) == [("old", 1)]
        await node.register("theirs", owner="user-2")
        await node.register("new", owner="user-1")
        for name in ("theirs", "new", "old"):
            await node.post_webhook(node.fal.webhook(name))
        assert await named(states, 3) == [("new", 1), ("new", 2), ("old", 2)]
    await until(lambda: nothing_left(node.engine))


async def test_a_groups_watch_and_the_watch_of_everything(node: Node) -> None:
    """Everything begins with what changes from then on, or with what was written since."""
    before = datetime.now(UTC) - timedelta(minutes=1)
    await node.register("old", group="g")
    async with Hookcast(node.url) as client:
        async with aclosing(client.watch_group("g")) as group, aclosing(client.watch_all()) as everything:
            assert await named(group, 1) == [("old", 1)]
            waiting = asyncio.ensure_future(until_named(everything, "b"))
            await until(lambda: "all" in set(node.engine.hub))
            await node.register("a")
            await node.register("b", group="g")
            assert await named(group, 1) == [("b", 1)]
            # What was written less than a second before may come, too.
            assert [state for state in await waiting if state != ("old", 1)] == [("a", 1), ("b", 1)]
        async with aclosing(client.watch_all(since=before)) as everything:
            assert sorted(await named(everything, 3)) == [("a", 1), ("b", 1), ("old", 1)]


async def until_named(states: AsyncGenerator[Job, None], last: str) -> list[tuple[str, int]]:
    """The next states, to the first one of the job `last`."""
    found: list[tuple[str, int]] = []
    while not found or found[-1][0] != last:
        found += await named(states, 1)
    return found


@pytest.mark.parametrize("owner", ["user-1", None])
async def test_a_restart_costs_a_feed_nothing(owner: str | None, fal: FalDouble, tmp_path: Path) -> None:
    """What ended while there was no connection comes after it, once."""
    database = f"sqlite:///{tmp_path}/jobs.db"
    given: dict[str, Any] = {"database_url": database, "drain_seconds": 0.1}
    seen: list[tuple[str, int]] = []
    async with running_node(fal, **given) as node:
        address = node.url

        async def moved(request: httpx.Request) -> httpx.Response:
            request.url = request.url.copy_with(port=httpx.URL(address).port)
            return await wire.handle_async_request(request)

        wire = httpx.AsyncHTTPTransport()
        client = quick("http://127.0.0.1:1", transport=httpx.MockTransport(moved))
        await node.register("job-1", owner="user-1")
        states = client.watch_all() if owner is None else client.watch_owner(owner)
        reading = asyncio.ensure_future(_collect(states, seen))
        await until(lambda: len(node.engine.hub))
        await node.register("job-2", owner="user-1")
        await until(lambda: ("job-2", 1) in seen)
    async with running_node(fal, **given) as node:
        await node.post_webhook(fal.webhook("job-2"))
        address = node.url
        await until(lambda: ("job-2", 2) in seen)
        await node.register("job-3", owner="user-1")
        await until(lambda: ("job-3", 1) in seen)
        reading.cancel()
        await asyncio.wait({reading})
        await client.__aexit__(None, None, None)
        await wire.aclose()
    assert len(seen) == len(set(seen))


async def _collect(states: AsyncGenerator[Job, None], seen: list[tuple[str, int]]) -> None:
    async with aclosing(states):
        async for job in states:
            seen.append((job.request_id, job.version))  # noqa: PERF401 - it is read meanwhile


@pytest.mark.parametrize("owner", ["user-1", None])
async def test_where_streams_do_not_get_through_the_list_is_polled(
    owner: str | None, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a job that is on the first page no more."""
    monkeypatch.setattr(feeds, "PAGE", CROWD)
    notices: list[Notice] = []
    seen: list[tuple[str, int]] = []
    await node.register("old", owner="user-1")
    port = int(node.url.rpartition(":")[2])
    async with buffering_proxy(port) as url, quick(url, timeout=1.0) as client:
        note = notices.append
        states = client.watch_all(notify=note) if owner is None else client.watch_owner(owner, notify=note)
        reading = asyncio.ensure_future(_collect(states, seen))
        await until(lambda: Notice(Transport.LONG_POLL) in notices)
        await node.register("new", owner="user-1")
        await until(lambda: ("new", 1) in seen)
        for number in range(CROWD):
            await node.register(f"crowd-{number}", owner="user-1")
        await until(lambda: (f"crowd-{CROWD - 1}", 1) in seen)
        await node.post_webhook(node.fal.webhook("new"))
        await until(lambda: ("new", 2) in seen)
        reading.cancel()
        await asyncio.wait({reading})
    assert len(seen) == len(set(seen))


async def test_a_feed_that_the_token_does_not_show_is_an_error_at_once(database_url: str, fal: FalDouble) -> None:
    """Not something to wait for, as a job is; with the right token it is shown."""
    async with running_node(fal, database_url=database_url, **SETTINGS) as node:
        await node.client.put("/api/fal-jobs/job-1", json={"owner": "user-1"}, headers=ADMIN)
        async with Hookcast(node.url, token=token(sub="user-2")) as client:
            for states in (client.watch_owner("user-1"), client.watch_all()):
                with pytest.raises(NotFound):
                    await anext(states)
        for credential in (token(sub="user-1"), API_KEY):
            async with (
                Hookcast(node.url, token=credential) as client,
                aclosing(client.watch_owner("user-1")) as states,
            ):
                assert await named(states, 1) == [("job-1", 1)]


async def test_a_list_comes_in_pages(node: Node) -> None:
    """Newest first, filtered, with the whole states."""
    for number in range(3):
        await node.register(f"job-{number}", owner="user-1")
    await node.register("theirs", owner="user-2")
    await node.post_webhook(node.fal.webhook("job-1"))
    async with Hookcast(node.url) as client:
        first = await client.list(owner="user-1", limit=2)
        rest = await client.list(owner="user-1", limit=2, cursor=first.next_cursor)
        assert [job.request_id for job in (*first.jobs, *rest.jobs)] == ["job-2", "job-1", "job-0"]
        assert rest.next_cursor is None
        [done] = (await client.list(status="completed")).jobs
        assert done.result() == {"seed": 12345678901234567890}
        with pytest.raises(Refused, match="limit"):
            await client.list(limit=1000)
    async with Hookcast("http://127.0.0.1:1", sleep=Sleeper(free=True)) as client:
        with pytest.raises(Unreachable):
            await client.list()
