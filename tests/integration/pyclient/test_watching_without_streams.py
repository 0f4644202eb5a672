"""`Hookcast.watch` where a stream does not come through, and its way back."""

import asyncio
from contextlib import aclosing

import httpx
import pytest

from hookcast.client import (
    Notice,
    Transport,
    ladder,
)
from hookcast.client.attempts import POLL_SECONDS
from integration.pyclient.watching import collect, complete, quick
from support.fakes import Sleeper
from support.server import Node, until
from support.stand import Answer, Meddle, Meddling, buffering_proxy, job, plain, problem, sse, standing, state

pytestmark = pytest.mark.anyio


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
            await complete(node)
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
            await complete(node)
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
        await complete(node)
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
        await complete(node)
        sleeper.wake()
        assert [seen.version for seen in await watching] == [1, 2]
    assert set(sleeper.pauses) == {0.0, POLL_SECONDS}
    assert notices[-1] == Notice(Transport.POLL)
