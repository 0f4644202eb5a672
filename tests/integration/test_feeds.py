"""The feeds of an owner and of everything, over SSE and WebSocket: live and bounded."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hookcast.push import messages
from hookcast.push.stream import Stream
from support.fal import ENDPOINT, FalDouble, LiveStream
from support.feeds import put, reading
from support.push import nothing_left, state
from support.raw import get, raw, versions
from support.redis import Redis, running_redis
from support.server import Node, running_node, until

pytestmark = pytest.mark.anyio
NEVER = 3600.0


@pytest.fixture(params=["sse", "websocket"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each transport."""
    return str(request.param)


async def test_a_feed_of_an_owner_begins_with_the_states_and_goes_on(node: Node, kind: str) -> None:
    """New jobs, changes and ends of the owner's jobs, and of no others; it does not end."""
    await put(node, "old", "user-1")
    async with reading(node, kind, owner="user-1") as mine:
        assert (await mine.job())["requestId"] == "old"
        await put(node, "theirs", "user-2")
        await put(node, "new", "user-1", group="g")
        assert (await mine.job())["requestId"] == "new"
        for name in ("old", "theirs", "new"):
            await node.post_webhook(node.fal.webhook(name))
        ended = [await mine.job(), await mine.job()]
        assert [(job["requestId"], job["status"]) for job in ended] == [("old", "completed"), ("new", "completed")]
        await put(node, "last", "user-1")
        assert (await mine.job())["requestId"] == "last"
    await until(lambda: nothing_left(node.engine))


async def test_a_feed_of_everything_begins_with_what_changes_from_then_on(node: Node, kind: str) -> None:
    """Or with what has changed since a time that the client names."""
    await put(node, "old", "user-1")
    async with reading(node, kind, everything=True) as all_jobs:
        for name, owner in (("a", "user-1"), ("b", None)):
            await put(node, name, owner)
        await node.post_webhook(node.fal.webhook("old"))
        told = []
        while ("old", 2) not in told:
            job = await all_jobs.job()
            told.append((job["requestId"], job["version"]))
        # What changed in the second before may come, too: the node looks for states that the bus did not deliver.
        assert [found for found in told if found != ("old", 1)] == [("a", 1), ("b", 1), ("old", 2)]
    since = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    async with reading(node, kind, everything=True, since=since) as again:
        assert {(await again.job())["requestId"] for _ in range(3)} == {"a", "b", "old"}
    await until(lambda: nothing_left(node.engine))


async def test_names_of_all_kinds_share_a_stream_and_a_state_comes_once(node: Node, kind: str) -> None:
    names: dict[str, Any] = {"owner": "user-1", "group": "g", "request_id": "job-1", "everything": True}
    await put(node, "job-1", "user-1", group="g")
    async with reading(node, kind, **names) as stream:
        assert (await stream.job())["version"] == 1
        await node.post_webhook(node.fal.webhook("job-1"))
        assert (await stream.job())["version"] == 2
        await put(node, "job-2", "user-1", group="g")
        assert (await stream.job())["requestId"] == "job-2"


async def test_a_job_that_was_known_without_an_owner_comes_with_its_registration(node: Node, kind: str) -> None:
    """The webhook may be faster than whoever names the owner."""
    async with reading(node, kind, owner="user-1") as mine:
        await node.post_webhook(node.fal.webhook("job-1"))
        await put(node, "job-1", "user-1")
        job = await mine.job()
    assert (job["requestId"], job["status"], job["version"]) == ("job-1", "completed", 2)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "owner=",
        "owner=a%0Ab",
        "all=yes",
        "owner=u&since=2026-11-29T10:00:00Z",
        "all=1&since=yesterday",
        "all=1&since=2026-11-29T10:00:00",
        "all=1&" + "&".join(f"owner={number}" for number in range(messages.MAX_NAMES)),
    ],
)
async def test_a_wrong_request_says_what_is_right(node: Node, query: str) -> None:
    answer = await node.client.get(f"/api/fal-jobs/events?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_a_feed_of_everything_follows_nothing_and_an_owners_does(node: Node) -> None:
    """Live progress costs a connection to fal for each job."""
    live = LiveStream()
    node.fal.script("/status/stream", live)
    async with reading(node, "sse", everything=True) as everything:
        await put(node, "job-1", "user-1", endpointId=ENDPOINT)
        await everything.job()
        assert not node.engine.hub.interest._changed
        async with reading(node, "sse", owner="user-1") as mine:
            await mine.job()
            await until(lambda: live.opened)
            live.tell({"status": "IN_QUEUE", "queue_position": 7})
            assert (await mine.job())["progress"]["queuePosition"] == 7
            assert (await everything.job())["progress"]["queuePosition"] == 7


@pytest.mark.parametrize("by", ["redis", "resync"])
async def test_feeds_hear_of_other_nodes(
    by: str, kind: str, fal: FalDouble, postgres_url: str, redis_server: Redis
) -> None:
    """Through Redis, or from the database."""
    shared: dict[str, Any] = {"database_url": postgres_url}
    shared |= {"redis_url": redis_server.url, "resync_seconds": NEVER} if by == "redis" else {"resync_seconds": 0.05}
    async with running_node(fal, **shared) as one, running_node(fal, **shared) as two:
        for node in (one, two):
            while (await node.client.get("/readyz")).json()["status"] != "ok":
                pass
        async with (
            reading(two, kind, owner="user-1") as mine,
            reading(two, kind, everything=True) as everything,
            reading(two, kind, owner="user-1", everything=True) as both,
        ):
            await put(one, "theirs", "user-2")
            await put(one, "mine", "user-1")
            await one.post_webhook(fal.webhook("mine"))
            seen: dict[str, list[tuple[str, int]]] = {"mine": [], "everything": [], "both": []}
            for name, reader in (("mine", mine), ("everything", everything), ("both", both)):
                while ("mine", 2) not in seen[name]:
                    job = await reader.job()
                    seen[name].append((job["requestId"], job["version"]))
        assert "theirs" not in dict(seen["mine"])
        for name in ("everything", "both"):
            assert ("theirs", 1) in seen[name]
            assert len(set(seen[name])) == len(seen[name])


async def test_a_redis_that_dies_costs_feeds_no_state(fal: FalDouble, postgres_url: str) -> None:
    with running_redis() as server:
        shared: dict[str, Any] = {"database_url": postgres_url, "redis_url": server.url, "resync_seconds": 0.05}
        async with (
            running_node(fal, **shared) as one,
            running_node(fal, **shared) as two,
            reading(two, "sse", owner="user-1") as mine,
            reading(two, "sse", everything=True) as everything,
        ):
            await until(lambda: len(two.engine.hub) == 2)
            server.stop()
            await put(one, "job-1", "user-1")
            assert [(await reader.job())["requestId"] for reader in (mine, everything)] == ["job-1"] * 2


async def test_a_slow_reader_of_an_owner_gets_the_newest_states_and_delays_nobody(node: Node) -> None:
    """800 states of 20 KB of 20 jobs: bounded in bytes, and each job comes at its newest version in the end."""
    async with raw(node, small=True) as slow, reading(node, "sse", owner="user-1") as other:
        await slow.send(get("/api/fal-jobs/events?owner=user-1"))
        await slow.until(b"retry: ")
        await until(lambda: len(node.engine.admission.streams) == 2)
        for version in range(1, 41):
            for number in range(20):
                node.engine.hub.deliver(state(f"job-{number}", version, owner="user-1", pad=20_000))
            for _ in range(20):
                assert (await other.job())["version"] == version
            for stream in node.engine.admission.streams:
                assert isinstance(stream, Stream)
                assert stream.transport is not None
                assert stream.transport.get_write_buffer_size() <= 300_000
        while any(
            b'"requestId":"job-%d","status":"pending","version":40' % number not in slow.seen for number in range(20)
        ):
            assert await slow.more()
    assert len(versions(slow.seen)) < 400
