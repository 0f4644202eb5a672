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
    AccessRefused,
    DeadlinePassed,
    Hookcast,
    Job,
    JobCancelled,
    JobFailed,
    Notice,
    Transport,
    UnexpectedAnswer,
    ladder,
)
from hookcast.client.attempts import POLL_SECONDS
from hookcast.emulator import begin_shutdown, create_emulator
from support.fakes import Sleeper
from support.fal import ENDPOINT, FalDouble
from support.falhost import served_app
from support.push import nothing_left
from support.server import Node, running_node, until
from support.serving import served
from support.stand import Answer, Meddle, Meddling, buffering_proxy, job, plain, problem, sse, standing, state

pytestmark = pytest.mark.anyio
DONE = job(4, "completed", result={"a": 1})


async def collect(client: Hookcast, name: str = "job-1", **options: Any) -> list[Job]:
    """All states that a watch gives."""
    return [seen async for seen in client.watch(name, **options)]


def quick(url: str, sleeper: Sleeper | None = None, **options: Any) -> Hookcast:
    """A client that does not pause for long."""
    values: dict[str, Any] = {"sleep": sleeper or Sleeper(free=True), "heartbeat": 0.2, "timeout": 5.0}
    return Hookcast(url, **values | options)


async def test_a_watch_shows_each_newer_state_and_ends_with_the_terminal_one(node: Node) -> None:
    """From the current state on; every digit of the result is there."""
    await node.register("job-1", group="g")
    async with Hookcast(node.url) as client, aclosing(client.watch("job-1")) as states:
        assert (await anext(states)).version == 1
        await node.register("job-1", owner="o")
        assert (await anext(states)).owner == "o"
        await _complete(node)
        last = await anext(states)
        assert (last.status, last.version, last.result()) == ("completed", 3, {"seed": 2**53 + 1})
        assert [late async for late in states] == []
        assert [again.version async for again in client.watch("job-1")] == [3]


async def _complete(node: Node, name: str = "job-1", **fields: Any) -> None:
    body = node.fal.webhook(name, **{"payload": {"seed": 2**53 + 1}} | fields)
    assert (await node.post_webhook(body)).status_code == 200


async def test_a_job_that_is_not_known_yet_is_waited_for(node: Node) -> None:
    """Nobody has to submit before they watch."""
    async with Hookcast(node.url) as client:
        waiting = asyncio.ensure_future(client.wait("job-1"))
        await until(lambda: node.engine.admission.streams)
        await node.register("job-1")
        await _complete(node)
        assert await waiting == {"seed": 2**53 + 1}


async def test_a_job_that_fails_or_is_cancelled_is_an_error_that_says_why(node: Node) -> None:
    await _complete(node, status="ERROR", payload={"detail": "Too rude."}, error="Unprocessable")
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


NO_STREAM = {
    "404": plain(404),
    "405": plain(405),
    "a page": plain(200),
    "a login page": plain(302, location="/login"),
    "full": problem(503, "too_many_streams"),
    "full for this address": problem(429, "too_many_streams_of_client"),
}


@pytest.mark.parametrize("answer", NO_STREAM.values(), ids=NO_STREAM)
async def test_where_there_is_no_stream_a_long_poll_brings_the_states(node: Node, answer: Answer) -> None:
    """A proxy that knows no such path, a login page, a server that is full."""
    await node.register("job-1")
    async with standing(answer) as stand, quick(node.url, transport=Meddling(_diverted(stand.url))) as client:
        notices: list[Notice] = []
        async with aclosing(client.watch("job-1", notify=notices.append)) as states:
            assert (await anext(states)).version == 1
            coming = asyncio.ensure_future(anext(states))
            await until(lambda: node.engine.admission.streams or node.engine.hub)
            await _complete(node)
            assert (await coming).ended
        assert notices[-1] == Notice(Transport.LONG_POLL)
        assert len(stand.asked) == 1


def _diverted(url: str) -> Meddle:
    """Streams go to another server."""
    other = httpx.URL(url)

    def meddle(request: httpx.Request) -> None:
        if request.url.path.endswith("/events"):
            request.url = request.url.copy_with(port=other.port)

    return meddle


async def test_a_proxy_that_buffers_everything_is_noticed_by_its_silence(node: Node) -> None:
    """The answers to long polls are complete, so they come through."""
    await node.register("job-1")
    async with buffering_proxy(int(node.url.rpartition(":")[2])) as url, quick(url) as client:
        notices: list[Notice] = []
        async with aclosing(client.watch("job-1", notify=notices.append)) as states:
            assert (await anext(states)).version == 1
            coming = asyncio.ensure_future(anext(states))
            await until(lambda: node.engine.hub)
            await _complete(node)
            assert (await coming).ended
        assert [notice.transport for notice in notices] == [Transport.SSE, Transport.LONG_POLL]


async def test_a_stream_that_falls_silent_is_left() -> None:
    """No state and no ping for two and a half heartbeats: something on the way holds them back."""
    held = asyncio.Event()
    silent = sse(job(1), ": ping\n\n", then=held)
    async with standing(silent, state(4, "completed")) as stand, quick(stand.url) as client:
        notices: list[Notice] = []
        assert [seen.version for seen in await collect(client, notify=notices.append)] == [1, 4]
        held.set()
        assert [notice.transport for notice in notices] == [Transport.SSE, Transport.SSE, Transport.LONG_POLL]
        assert "silent" in str(notices[1].trouble)


async def test_server_sent_events_are_tried_again_later(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was in the way may have gone."""
    monkeypatch.setattr(ladder, "CLIMB_SECONDS", 0.05)
    await node.register("job-1")
    notices: list[Notice] = []

    def meddle(request: httpx.Request) -> Exception | None:
        polled = any(notice.transport is Transport.POLL for notice in notices)
        hidden = request.url.path.endswith("/events") or "wait" in request.url.params
        return httpx.ReadTimeout("nothing came") if hidden and not polled else None

    async with quick(node.url, transport=Meddling(meddle), heartbeat=15.0) as client:
        watching = asyncio.ensure_future(collect(client, notify=notices.append))
        await until(lambda: node.engine.admission.streams)
        await _complete(node)
        assert (await watching)[-1].ended
    assert [notice.transport for notice in notices if not notice.trouble] == [Transport.POLL, Transport.SSE]


async def test_where_long_polls_do_not_come_through_either_the_job_is_asked_for_every_3_s(node: Node) -> None:
    """What is unchanged is answered without a body."""
    await node.register("job-1")
    sleeper, notices = Sleeper(), list[Notice]()

    def meddle(request: httpx.Request) -> Exception | None:
        hidden = request.url.path.endswith("/events") or "wait" in request.url.params
        return httpx.ReadTimeout("nothing came") if hidden else None

    async with quick(node.url, sleeper, transport=Meddling(meddle)) as client:
        watching = asyncio.ensure_future(collect(client, notify=notices.append))
        for turn in range(1, 4):
            while sleeper.pauses.count(POLL_SECONDS) < turn:
                sleeper.wake()  # the pauses between transports are none
                await asyncio.sleep(0.001)
        await _complete(node)
        sleeper.wake()
        assert [seen.version for seen in await watching] == [1, 2]
    assert set(sleeper.pauses) == {0.0, POLL_SECONDS}
    assert notices[-1] == Notice(Transport.POLL)


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


class Keys:
    """Gives token-1, token-2 … and counts."""

    def __init__(self) -> None:
        self.given = 0

    async def __call__(self) -> str:
        """One more."""
        await asyncio.sleep(0)
        self.given += 1
        return f"token-{self.given}"


async def test_a_function_is_asked_for_a_new_token_when_the_old_one_is_refused_or_runs_out() -> None:
    """And the watch goes on with it."""
    open_ = asyncio.Event()
    expiring = sse(job(1), "event: token-expiring\ndata: {}\n\n", then=open_)
    async with standing(problem(401, "token_expired"), expiring, sse(DONE)) as stand:
        async with quick(stand.url, token=Keys()) as client:
            assert [seen.version for seen in await collect(client)] == [1, 4]
        open_.set()
        assert stand.tokens == ["Bearer token-1", "Bearer token-2", "Bearer token-3"]


async def test_watches_that_need_a_new_token_at_once_ask_for_it_once(node: Node) -> None:
    refused = 0

    def meddle(request: httpx.Request) -> httpx.Response | None:
        nonlocal refused
        if request.headers["authorization"] != "Bearer token-1":
            return None
        refused += 1
        return httpx.Response(401, json={})

    await node.register("job-1")
    await _complete(node)
    keys = Keys()
    async with quick(node.url, token=keys, transport=Meddling(meddle)) as client:
        await client.get("job-1")
        assert (keys.given, refused) == (2, 1)
        keys.given = 0
    async with quick(node.url, token=keys, transport=Meddling(meddle)) as client:
        await asyncio.gather(*(client.wait("job-1") for _ in range(10)))
        assert (keys.given, refused) == (2, 11)


@pytest.mark.parametrize("code", ["unauthorized", "token_expired", "token_invalid"])
async def test_a_token_that_is_refused_for_good_ends_the_watch(code: str) -> None:
    """A string cannot be renewed, and of a function one new token is tried."""
    async with standing(problem(401, code)) as stand:
        for token, asked in (("t", 1), (Keys(), 2)):
            async with quick(stand.url, token=token) as client:
                with pytest.raises(AccessRefused, match=code) as refused:
                    await collect(client)
            assert (refused.value.status, refused.value.code, refused.value.detail) == (401, code, f"It is {code}.")
            assert len(stand.asked) == asked
            stand.asked.clear()


async def test_a_token_function_that_fails_for_a_while_is_asked_again() -> None:
    """The same outage may take both servers."""
    keys, failures = Keys(), [OSError("no way there"), httpx.ConnectError("nor there"), TimeoutError()]

    async def token() -> str:
        if failures:
            raise failures.pop()
        return await keys()

    async with standing(sse(DONE)) as stand, quick(stand.url, token=token) as client:
        assert len(await collect(client)) == 1


STRANGERS = {"404": plain(404), "moved": plain(302, location="https://elsewhere.example/"), "403": plain(403)}


@pytest.mark.parametrize("answer", STRANGERS.values(), ids=STRANGERS)
async def test_an_address_where_no_hookcast_answers_is_an_error_at_once(answer: Answer) -> None:
    """Nobody shall wait there for ever."""
    async with standing(answer) as stand, quick(stand.url) as client:
        with pytest.raises((UnexpectedAnswer, AccessRefused), match=stand.url):
            await collect(client)


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
            await _complete(node, name)
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
