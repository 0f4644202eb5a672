"""Readers of feeds, over SSE and WebSocket."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from httpx_sse import aconnect_sse
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from support.access import ADMIN
from support.server import Node


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


async def put(node: Node, name: str, owner: str | None = None, **facts: Any) -> None:
    """Register a job."""
    answer = await node.client.put(f"/api/fal-jobs/{name}", json={"owner": owner, **facts}, headers=ADMIN)
    assert answer.status_code in {200, 201}
