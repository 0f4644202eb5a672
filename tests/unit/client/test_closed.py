"""A client that is closed: its calls and watches end with an error of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest

from hookcast.client import Hookcast, Refused
from support.fakes import Sleeper
from support.fal import ENDPOINT

pytestmark = pytest.mark.anyio
URL = "http://hookcast.test"
STATE = b'{"requestId": "r", "status": "pending", "version": 1}'

Call = Callable[[Hookcast], Awaitable[object]]


def stream(content: bytes | AsyncIterator[bytes]) -> httpx.Response:
    """Return a stream."""
    return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=content)


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.get("r"),
        lambda client: client.submit(ENDPOINT, {}),
        lambda client: client.wait("r"),
        lambda client: anext(client.watch_all()),
    ],
    ids=["get", "submit", "wait", "watch_all"],
)
async def test_a_call_on_a_closed_client_is_refused(call: Call) -> None:
    """At once, with what to do."""
    sleep = Sleeper(free=True)
    async with Hookcast(URL, transport=httpx.MockTransport(lambda _: httpx.Response(200)), sleep=sleep) as client:
        pass
    with pytest.raises(Refused, match="async with") as caught:
        await call(client)
    assert (caught.value.code, sleep.pauses) == ("closed", [])


async def test_closing_ends_a_watch() -> None:
    """Its stream breaks, and it does not reconnect."""
    closed = asyncio.Event()

    async def content() -> AsyncIterator[bytes]:
        yield b"event: job\ndata: %b\n\n" % STATE
        await closed.wait()

    transport = httpx.MockTransport(lambda _: stream(content()))
    async with Hookcast(URL, transport=transport, sleep=Sleeper(free=True)) as client:
        states = client.watch("r")
        assert (await anext(states)).version == 1
    closed.set()
    with pytest.raises(Refused) as caught:
        await anext(states)
    assert caught.value.code == "closed"


async def test_closing_while_a_watch_connects_ends_it() -> None:
    """The connection that was being made is not one of those that were closed."""

    async def respond(_: httpx.Request) -> httpx.Response:
        await client.__aexit__(None, None, None)
        return stream(b"event: job\ndata: %b\n\n" % STATE)

    client = Hookcast(URL, transport=httpx.MockTransport(respond))
    with pytest.raises(Refused) as caught:
        await anext(client.watch("r"))
    assert caught.value.code == "closed"
