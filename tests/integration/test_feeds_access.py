"""Who may read which feed, over SSE and WebSocket."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from httpx_sse import aconnect_sse
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from support.access import API_KEY, SETTINGS, token
from support.fal import FalDouble
from support.feeds import put, reading
from support.server import Node, running_node, until

pytestmark = pytest.mark.anyio
MINE, THEIRS = token(sub="user-1"), token(sub="user-2")


@pytest.fixture(params=["sse", "websocket"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each transport."""
    return str(request.param)


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
