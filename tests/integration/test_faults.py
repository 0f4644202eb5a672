"""Every fault the emulator can play, through a whole server: the job ends right, and once."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from hookcast.emulator import begin_shutdown, create_emulator
from hookcast.serve import Server, Site, bind
from support.fal import ENDPOINT, FalDouble
from support.server import Node, running_node

pytestmark = pytest.mark.anyio


@pytest.fixture
async def emulator() -> AsyncIterator[str]:
    """The URL of an emulated fal, forty times as fast as fal."""
    app = create_emulator(speed=40)
    listener = bind("127.0.0.1", 0)
    ready = asyncio.Event()
    server = Server(Site(app, listener, lambda: begin_shutdown(app)), ready.set)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(sockets=[listener]))
        await ready.wait()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True


@pytest.fixture
async def whole(database_url: str, emulator: str) -> AsyncIterator[Node]:
    """A server whose fal is the emulator."""
    async with running_node(FalDouble(), emulator=emulator, database_url=database_url) as node:
        yield node


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("model_error", "failed"),
        ("infrastructure_error", "failed"),
        ("webhook_lost", "completed"),
        ("webhook_thrice", "completed"),
        ("webhook_first", "completed"),
        ("webhook_late", "completed"),
        ("unknown_key", "completed"),
        ("old_timestamp", "completed"),
        ("payload_error", "completed"),
        ("big_result", "completed"),
    ],
)
async def test_a_watched_job_ends_right_and_once_whatever_the_fault(whole: Node, fault: str, status: str) -> None:
    """One terminal state, versions only grow, and polling says the same."""
    body = {"endpointId": ENDPOINT, "input": {"prompt": "x", "_emulator": {"faults": [fault], "seconds": 1}}}
    taken = (await whole.client.post("/api/fal-jobs", json=body)).json()
    async with whole.events(taken["requestId"]) as events:
        states = [event.json() async for event in events if event.event == "job"]
    assert [state["status"] for state in states if state["status"] != "pending"] == [status]
    versions = [state["version"] for state in states]
    assert versions == sorted(set(versions))
    polled = (await whole.client.get(taken["links"]["status"])).json()
    assert polled == states[-1]
    assert (polled["result"] is None, polled["error"] is None) == (status == "failed", status != "failed")
