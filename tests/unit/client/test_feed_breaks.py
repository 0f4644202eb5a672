"""Where the watch of everything continues after a break: no state is left out."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import msgspec
import pytest

from hookcast.client import Job
from hookcast.client.attempts import Manner
from hookcast.client.connection import Connection
from hookcast.client.feeds import OVERLAP, FeedWatcher
from hookcast.client.ladder import Ladder

pytestmark = pytest.mark.anyio
BEGIN = datetime(2026, 11, 23, tzinfo=UTC)
NO_STREAM = httpx.Response(404, html="<h1>No</h1>")


def after(seconds: float) -> datetime:
    """Return a time."""
    return BEGIN + timedelta(seconds=seconds)


def state(name: str, seconds: float) -> dict[str, Any]:
    """Return a state that was written so many seconds after the beginning."""
    return {"requestId": name, "status": "pending", "version": 1, "updatedAt": after(seconds)}


def stream(*parts: str | dict[str, Any]) -> httpx.Response:
    """Return a stream that breaks off after these states and comments."""
    texts = [part if isinstance(part, str) else f"event: job\ndata: {encoded(part)}\n\n" for part in parts]
    headers = {"Content-Type": "text/event-stream", "Date": format_datetime(BEGIN)}
    return httpx.Response(200, headers=headers, content="".join(texts).encode())


def page(*states: dict[str, Any]) -> httpx.Response:
    """Return a list, the newest job first."""
    headers = {"Date": format_datetime(BEGIN)}
    return httpx.Response(200, headers=headers, content=encoded({"jobs": states, "nextCursor": None}).encode())


def encoded(value: object) -> str:
    """Return JSON."""
    return msgspec.json.encode(value).decode()


class Server:
    """Sends these streams and pages in order; the last of each repeats. `since` is where each stream was to begin."""

    def __init__(self, *streams: httpx.Response, pages: tuple[httpx.Response, ...] = ()) -> None:
        self._streams, self._pages = deque(streams), deque(pages)
        self.since: list[datetime | None] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Respond."""
        responses = self._pages
        if request.url.path.endswith("/events"):
            responses, since = self._streams, request.url.params.get("since")
            self.since.append(None if since is None else datetime.fromisoformat(since) + OVERLAP)
        found = responses.popleft() if len(responses) > 1 else responses[0]
        return httpx.Response(found.status_code, headers=found.headers, content=found.content)


class Time:
    """A clock that pauses advance."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Pause without waiting."""
        self.now += seconds
        await asyncio.sleep(0)


@asynccontextmanager
async def watching(server: Server, since: datetime | None = BEGIN) -> AsyncIterator[AsyncGenerator[Job, None]]:
    """Watch everything on this server."""
    time = Time()
    connection = Connection("http://hookcast.test", token=None, timeout=5.0, transport=httpx.MockTransport(server))
    manner = Manner(
        ladder=Ladder(lambda: 1.0), heartbeat=15.0, timeout=5.0, notify=lambda _: None, sleep=time.sleep, clock=time
    )
    states = FeedWatcher(connection, {}, manner, since=since).states()
    async with asyncio.timeout(5), aclosing(states):
        yield states
    await connection.close()


async def names(states: AsyncGenerator[Job, None], count: int) -> list[str]:
    """Return the jobs of the next states."""
    return [(await anext(states)).request_id for _ in range(count)]


async def test_a_break_among_first_states_leaves_out_none() -> None:
    """They come latest first: the next stream begins where this one did, and repeats none."""
    server = Server(stream(state("late", 100)), stream(state("late", 100), state("early", 50)))
    async with watching(server) as states:
        assert await names(states, 2) == ["late", "early"]
    assert server.since == [BEGIN, BEGIN]


async def test_what_has_arrived_before_a_ping_is_not_asked_for_again() -> None:
    """A state that follows the ping may have others before it that did not arrive."""
    server = Server(stream(state("a", 50), state("b", 20), ": ping\n", state("c", 300)), stream(state("d", 301)))
    async with watching(server) as states:
        assert await names(states, 4) == ["a", "b", "c", "d"]
    assert server.since == [BEGIN, after(50)]


async def test_a_stream_whose_states_wait_for_the_database_has_not_brought_everything() -> None:
    """Its comments say so."""
    server = Server(stream(state("late", 100), ": waiting\n: ping\n"), stream(state("early", 50)))
    async with watching(server) as states:
        await names(states, 2)
    assert server.since == [BEGIN, BEGIN]


@pytest.mark.parametrize("since", [BEGIN, None])
async def test_each_change_on_a_page_of_the_list_comes(since: datetime | None) -> None:
    """The page is in the order of creation: a later change may come first."""
    server = Server(NO_STREAM, pages=(page(), page(state("new", 20), state("old", 100))))
    async with watching(server, since) as states:
        assert await names(states, 2) == ["old", "new"]


async def test_a_stream_after_polls_begins_where_the_last_one_broke_off() -> None:
    """It brings what polls cannot find: the change of an old job that was not known."""
    server = Server(NO_STREAM, stream(state("old", 50)), pages=(page(state("new", 100)), page()))
    async with watching(server) as states:
        assert await names(states, 2) == ["new", "old"]
    assert server.since == [BEGIN, BEGIN]


async def test_a_look_at_a_pending_job_that_fails_is_repeated() -> None:
    """The job is no longer on the page: nothing else would show its end."""
    ended = httpx.Response(200, content=encoded({**state("a", 30), "status": "completed", "version": 2}).encode())
    server = Server(NO_STREAM, pages=(page(state("a", 20)), page(), httpx.Response(502), page(), ended, page()))
    async with watching(server) as states:
        assert [(await anext(states)).version for _ in range(2)] == [1, 2]
