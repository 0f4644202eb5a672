"""The feeds of an owner and of everything, over SSE and WebSocket: live, kept apart, bounded."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest
from httpx_sse import aconnect_sse
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from hookcast.push import messages
from hookcast.push.stream import Stream
from support.access import ADMIN, API_KEY, SETTINGS, token
from support.fal import ENDPOINT, FalDouble, LiveStream
from support.push import nothing_left, state
from support.raw import get, raw, versions
from support.redis import Redis, running_redis
from support.server import Node, running_node, until

pytestmark = pytest.mark.anyio
NEVER = 3600.0
MINE, THEIRS = token(sub="user-1"), token(sub="user-2")


class Reader(Protocol):
    """Reads the states of a stream."""

    async def job(self) -> dict[str, Any]:
        """The next one."""


class Events:
    """Reads SSE."""

    def __init__(self, events: AsyncIterator[Any]) -> None:
        self.events = events

    async def job(self) -> dict[str, Any]:
        """The next state."""
        event = await anext(self.events)
        assert event.event == "job"
        found: dict[str, Any] = event.json()
        return found


class Messages:
    """Reads a WebSocket."""

    def __init__(self, client: Any) -> None:
        self.client = client

    async def job(self) -> dict[str, Any]:
        """The next state."""
        while (message := json.loads(await self.client.recv()))["type"] != "job":
            assert message["type"] in {"subscribed", "ping"}
        found: dict[str, Any] = message["job"]
        return found


@asynccontextmanager
async def reading(node: Node, kind: str, credential: str | None = None, **names: Any) -> AsyncIterator[Reader]:
    """A stream of these names: `owner`, `everything`, `since`, `group`, `request_id`."""
    if kind == "sse":
        keys = {"owner": "owner", "everything": "all", "since": "since", "group": "group", "request_id": "requestId"}
        params = {keys[name]: 1 if value is True else value for name, value in names.items()}
        headers = {} if credential is None else {"Authorization": f"Bearer {credential}"}
        url = f"{node.url}/api/fal-jobs/events"
        async with aconnect_sse(node.client, "GET", url, params=params, headers=headers) as source:
            yield Events(source.aiter_sse())
        return
    url = f"ws{node.url[4:]}/api/fal-jobs/ws" + ("" if credential is None else f"?token={credential}")
    lists = {"owner": "owners", "group": "groups", "request_id": "requestIds"}
    message: dict[str, Any] = {lists[name]: [value] for name, value in names.items() if name in lists}
    message |= {"all": True} if names.get("everything") else {}
    message |= {"since": names["since"]} if "since" in names else {}
    async with connect(url, proxy=None, subprotocols=[Subprotocol("hookcast.v1")]) as client:
        await client.send(json.dumps({"type": "subscribe", **message}))
        subscribed = json.loads(await client.recv())
        assert (subscribed["type"], subscribed.get("owners", [])) == ("subscribed", message.get("owners", []))
        yield Messages(client)


@pytest.fixture(params=["sse", "websocket"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each transport."""
    return str(request.param)


async def put(node: Node, name: str, owner: str | None = None, **facts: Any) -> None:
    """Register a job."""
    answer = await node.client.put(f"/api/fal-jobs/{name}", json={"owner": owner, **facts}, headers=ADMIN)
    assert answer.status_code in {200, 201}


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
        told = [await all_jobs.job() for _ in range(3)]
        assert [(job["requestId"], job["version"]) for job in told] == [("a", 1), ("b", 1), ("old", 2)]
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


@pytest.fixture
async def closed(database_url: str, fal: FalDouble) -> AsyncIterator[Node]:
    """A server that asks for keys and tokens."""
    async with running_node(fal, database_url=database_url, **SETTINGS) as node:
        yield node


async def test_two_users_are_kept_apart(closed: Node, kind: str) -> None:
    """Each sees the own jobs only, an API key each of them and everything."""
    async with (
        reading(closed, kind, MINE, owner="user-1") as mine,
        reading(closed, kind, THEIRS, owner="user-2") as theirs,
        reading(closed, kind, API_KEY, owner="user-2") as backend,
        reading(closed, kind, API_KEY, everything=True) as everything,
    ):
        for number in range(3):
            await put(closed, f"a-{number}", "user-1")
            await put(closed, f"b-{number}", "user-2")
        told = [[(await reader.job())["requestId"] for _ in range(3)] for reader in (mine, theirs, backend)]
        assert told == [["a-0", "a-1", "a-2"], ["b-0", "b-1", "b-2"], ["b-0", "b-1", "b-2"]]
        assert {(await everything.job())["requestId"] for _ in range(6)} == {*told[0], *told[1]}


@pytest.mark.parametrize("query", ["owner=user-1", "all=1"])
@pytest.mark.parametrize("credential", [THEIRS, token(jobs=["job-1"]), token(groups=["g"]), token(sub="user-10")])
async def test_what_one_may_not_see_is_not_found(closed: Node, query: str, credential: str) -> None:
    """As for a job, whether there is such an owner or not; by WebSocket it is `forbidden`."""
    await put(closed, "job-1", "user-1", group="g")
    answer = await closed.client.get(f"/api/fal-jobs/events?{query}", headers={"Authorization": f"Bearer {credential}"})
    assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found")
    url = f"ws{closed.url[4:]}/api/fal-jobs/ws?token={credential}"
    named: dict[str, Any] = {"all": True} if query == "all=1" else {"owners": ["user-1"]}
    async with connect(url, proxy=None, subprotocols=[Subprotocol("hookcast.v1")]) as client:
        await client.send(json.dumps({"type": "subscribe", **named}))
        told = json.loads(await client.recv())
    assert (told["type"], told["code"], {name: told.get(name) for name in named}) == ("error", "forbidden", named)


async def test_with_what_one_may_see_comes_nothing_else(closed: Node) -> None:
    """The own feed and another's, and everything, in one request."""
    url = "/api/fal-jobs/events?owner=user-1&owner=user-2&all=1"
    async with aconnect_sse(closed.client, "GET", url, headers={"Authorization": f"Bearer {MINE}"}) as source:
        events = source.aiter_sse()
        await until(lambda: set(closed.engine.hub) == {"owner:user-1"})
        await put(closed, "theirs", "user-2")
        await put(closed, "mine", "user-1")
        assert (await anext(events)).json()["requestId"] == "mine"


async def test_without_a_credential_there_is_no_feed(closed: Node) -> None:
    for query in ("owner=user-1", "all=1"):
        answer = await closed.client.get(f"/api/fal-jobs/events?{query}")
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


async def test_an_owners_feed_ends_with_the_token(closed: Node) -> None:
    """Warned before it; the old token is not admitted again."""
    old = token(sub="user-1", expires_in=2)
    url = f"/api/fal-jobs/events?owner=user-1&token={old}"
    async with aconnect_sse(closed.client, "GET", url) as source:
        told = [event.event async for event in source.aiter_sse()]
    assert told == ["token-expiring"]
    assert (await closed.client.get(url)).json()["code"] == "token_expired"


async def test_another_users_token_takes_the_feed_from_a_socket(closed: Node) -> None:
    """What the new token does not show is unsubscribed, and says so."""
    url = f"ws{closed.url[4:]}/api/fal-jobs/ws?token={MINE}"
    async with connect(url, proxy=None, subprotocols=[Subprotocol("hookcast.v1")]) as client:
        await client.send(json.dumps({"type": "subscribe", "owners": ["user-1"]}))
        await client.recv()
        await client.send(json.dumps({"type": "subscribe", "owners": ["user-2"], "token": THEIRS}))
        told = [json.loads(await client.recv()) for _ in range(2)]
        assert [(each["type"], each["owners"]) for each in told] == [("error", ["user-1"]), ("subscribed", ["user-2"])]
        await put(closed, "a", "user-1")
        await put(closed, "b", "user-2")
        assert json.loads(await client.recv())["job"]["requestId"] == "b"
        await client.send(json.dumps({"type": "unsubscribe", "owners": ["user-2"]}))
        await until(lambda: not len(closed.engine.hub))


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
