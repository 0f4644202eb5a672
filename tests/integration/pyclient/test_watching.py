"""`Hookcast.watch` against servers, networks and proxies that do what they can to hide the end of a job."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest

from hookcast.client import (
    DeadlinePassed,
    Hookcast,
    JobCancelled,
    JobFailed,
    Notice,
    Transport,
)
from hookcast.client.attempts import POLL_SECONDS
from hookcast.emulator import begin_shutdown, create_emulator
from integration.pyclient.watching import DONE, collect, complete, quick
from support.fakes import Sleeper
from support.fal import ENDPOINT, FalDouble
from support.falhost import served_app
from support.push import nothing_left
from support.server import Node, running_node, until
from support.serving import served
from support.stand import Answer, Meddling, job, plain, problem, sse, standing, state

pytestmark = pytest.mark.anyio


async def test_a_watch_shows_each_newer_state_and_ends_with_the_terminal_one(node: Node) -> None:
    """From the current state on; every digit of the result is there."""
    await node.register("job-1", group="g")
    async with Hookcast(node.url) as client, aclosing(client.watch("job-1")) as states:
        assert (await anext(states)).version == 1
        await node.register("job-1", owner="o")
        assert (await anext(states)).owner == "o"
        await complete(node)
        last = await anext(states)
        assert (last.status, last.version, last.result()) == ("completed", 3, {"seed": 2**53 + 1})
        assert [late async for late in states] == []
        assert [again.version async for again in client.watch("job-1")] == [3]


async def test_a_job_that_is_not_known_yet_is_waited_for(node: Node) -> None:
    """Nobody has to submit before they watch."""
    async with Hookcast(node.url) as client:
        waiting = asyncio.ensure_future(client.wait("job-1"))
        await until(lambda: node.engine.admission.streams)
        await node.register("job-1")
        await complete(node)
        assert await waiting == {"seed": 2**53 + 1}


async def test_a_job_that_fails_or_is_cancelled_is_an_error_that_says_why(node: Node) -> None:
    await complete(node, status="ERROR", payload={"detail": "Too rude."}, error="Unprocessable")
    async with Hookcast(node.url) as client:
        with pytest.raises(JobFailed, match=r"Too rude\.") as failed:
            await client.wait("job-1")
    assert (failed.value.job.status, failed.value.code) == ("failed", "failed")
    async with standing(sse(job(2, "cancelled"))) as stand, Hookcast(stand.url) as client:
        with pytest.raises(JobCancelled):
            await client.wait("job-1")


async def test_a_server_that_is_killed_and_started_again_costs_the_watch_nothing(
    tmp_path: Path, fal: FalDouble
) -> None:
    """The state that came while it was away is there, once."""
    async with served(tmp_path, fal) as server:
        await server.start()
        await server.register("job-1")
        notices: list[Notice] = []
        async with quick(server.url) as client, aclosing(client.watch("job-1", notify=notices.append)) as states:
            assert (await anext(states)).version == 1
            coming = asyncio.ensure_future(anext(states))
            await server.kill()
            await until(lambda: [notice for notice in notices if notice.trouble])
            await server.start()
            await server.complete("job-1")
            assert (await coming).ended
            assert [late async for late in states] == []


async def test_duplicate_and_old_states_are_dropped_and_the_end_comes_once() -> None:
    """Over several connections, whatever order they have."""
    first = sse(job(2), job(2), job(1), ": ping\n\n", job(3))
    async with standing(first, sse(job(1), job(3)), sse(job(3), DONE, DONE)) as stand, quick(stand.url) as client:
        assert [seen.version for seen in await collect(client)] == [2, 3, 4]
    assert [request.headers.get("last-event-id") for request in stand.asked] == [None, "3", "3"]


@pytest.mark.parametrize("farewell", [plain(204), sse("event: end\nid: end\ndata: {}\n\n")], ids=["204", "end"])
async def test_a_server_that_says_it_is_over_is_asked_for_the_end(farewell: Answer) -> None:
    """A watch never ends without the terminal state."""
    async with standing(farewell, state(4, "completed")) as stand, quick(stand.url) as client:
        assert [seen.version for seen in await collect(client)] == [4]
    assert stand.asked[1].url.path == "/api/fal-jobs/job-1"
    assert stand.asked[1].url.query == ""  # asked at once, not by a long poll


@pytest.mark.parametrize(
    ("answer", "least"),
    [
        (sse("retry: 1234\n", job(1)), 1.234),
        (sse(job(1), ": ping\n", "retry: 1234\n"), 1.234),
        (problem(503, "draining", **{"Retry-After": "7"}), 7.0),
        (problem(429, "too_many_requests", **{"Retry-After": "9"}), 9.0),
        (problem(404, "job_not_found"), POLL_SECONDS),
    ],
    ids=["retry", "drain", "503", "429", "unknown"],
)
async def test_the_pause_is_never_shorter_than_the_server_asked_for(answer: Answer, least: float) -> None:
    """By `retry:`, or by Retry-After."""
    sleeper = Sleeper(free=True)
    async with standing(answer, sse(DONE)) as stand, quick(stand.url, sleeper, jitter=lambda: 0.0) as client:
        assert [seen.version for seen in await collect(client)][-1] == 4
    assert sleeper.pauses == [least]


async def test_a_stream_without_an_event_is_no_silent_one() -> None:
    """Nothing but `retry:` and pings arrives while the job is not known."""
    notices: list[Notice] = []
    async with standing(sse(": ping\n", then=asyncio.Event())) as stand, quick(stand.url) as client:
        watching = asyncio.ensure_future(collect(client, notify=notices.append))
        await until(lambda: notices)
        watching.cancel()
    assert notices == [Notice(Transport.SSE)]


async def test_every_lost_webhook_is_found(database_url: str) -> None:
    """The watcher only has to wait: the server asks fal."""
    emulated = create_emulator(speed=40)
    async with (
        served_app(emulated, lambda: begin_shutdown(emulated)) as emulator,
        running_node(FalDouble(), emulator=emulator, database_url=database_url) as node,
        Hookcast(node.url) as client,
    ):
        taken = await client.submit(ENDPOINT, {"prompt": "x", "_emulator": {"faults": ["webhook_lost"]}})
        assert "images" in await client.wait(taken.request_id)


async def test_leaving_early_leaves_nothing_behind(node: Node) -> None:
    """Cancelled, broken off, or out of time: no task, no stream, no connection."""
    await node.register("job-1")
    before = asyncio.all_tasks()
    async with Hookcast(node.url) as client:
        watching = asyncio.ensure_future(collect(client))
        await until(lambda: node.engine.admission.streams)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        assert watching.cancelled()
        await until(lambda: nothing_left(node.engine))
        async with aclosing(client.watch("job-1")) as states:
            await anext(states)
        await until(lambda: nothing_left(node.engine))
        with pytest.raises(DeadlinePassed, match="job-1"):
            await collect(client, timeout=0.05)
        await until(lambda: nothing_left(node.engine))
        await until(lambda: asyncio.all_tasks() <= before | node.server.server_state.tasks)
    async with Hookcast(node.url) as client:
        states = client.watch("job-1")
        await anext(states)
    await until(lambda: nothing_left(node.engine))
    await states.aclose()


@pytest.fixture
def chance() -> random.Random:
    """Chance whose seed is shown when a test fails."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    return random.Random(seed)  # noqa: S311


async def test_whatever_goes_wrong_at_random_every_watch_ends_once_and_right(node: Node, chance: random.Random) -> None:
    """Refused, broken, cut and answered by strangers, on every transport."""
    faults: list[Any] = [
        lambda: httpx.ConnectError("x"),
        lambda: httpx.ReadError("x"),
        lambda: httpx.RemoteProtocolError("x"),
        lambda: httpx.ReadTimeout("x"),
        lambda: httpx.Response(503, headers={"Retry-After": "1"}),
        lambda: httpx.Response(502, text="<h1>Bad gateway</h1>"),
        lambda: httpx.Response(500),
        lambda: httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=_Cut()),
    ]

    def meddle(_request: httpx.Request) -> Any:
        return chance.choice(faults)() if chance.random() < 0.6 else None

    names = [f"job-{number}" for number in range(40)]
    async with quick(node.url, transport=Meddling(meddle), heartbeat=15.0) as client:
        watches = [asyncio.ensure_future(collect(client, name)) for name in names]
        for name in names:
            await node.register(name)
            await complete(node, name)
        for seen in await asyncio.gather(*watches):
            versions = [each.version for each in seen]
            assert versions == sorted(set(versions))
            assert [each.status for each in seen if each.ended] == ["completed"]
            assert seen[-1].ended


class _Cut(httpx.AsyncByteStream):
    """Half a frame."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"retry: 1\n\nid: 1\nevent: job\ndata: {"
        raise httpx.ReadError("cut")
