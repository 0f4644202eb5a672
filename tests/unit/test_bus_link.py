"""The subscriptions of a connection to Redis, whose answers come when they want."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from hookcast.bus.link import ANCHOR, Link
from support.server import until

pytestmark = pytest.mark.anyio


class Connection:
    """Notes the commands, and answers when the test lets it."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, ...]] = []
        self.answers: asyncio.Queue[list[Any]] = asyncio.Queue()

    async def connect(self) -> None:
        """Succeed."""

    async def send_command(self, *words: str, check_health: bool) -> None:  # noqa: ARG002
        """Note it."""
        self.commands.append(words)

    async def read_response(self, *, disconnect_on_error: bool) -> list[Any]:  # noqa: ARG002
        """Wait for what the test lets Redis say."""
        return await self.answers.get()

    async def disconnect(self, *, nowait: bool) -> None:
        """Succeed."""

    def confirm(self, channel: str) -> None:
        """Confirm a subscription."""
        self.answers.put_nowait([b"subscribe", channel.encode(), 1])


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[Link, Connection]]:
    """A link whose connection is up, and has confirmed nothing."""
    connection = Connection()

    async def closed() -> None:
        pass

    async def published(messages: Iterable[tuple[str, bytes]]) -> None:
        pass

    client = SimpleNamespace(connection_pool=SimpleNamespace(make_connection=lambda: connection), aclose=closed)
    link = Link(cast("Redis", client), lambda _: None, sharded=False, trials=list, broken=lambda: None)
    link.publish = published  # type: ignore[method-assign]
    running = asyncio.ensure_future(link.run())
    try:
        await until(lambda: connection.commands == [("SUBSCRIBE", ANCHOR)])
        yield link, connection
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_who_joins_before_the_first_answer_is_subscribed() -> None:
    """Without anybody else who joins or leaves, and on the same connection."""
    async with linked() as (link, connection):
        await link.subscribe(["job"])
        await until(lambda: len(connection.commands) > 1)
        assert connection.commands == [("SUBSCRIBE", ANCHOR), ("SUBSCRIBE", "job")]


async def test_a_late_answer_for_who_has_left_is_none_for_who_joins() -> None:
    async with linked() as (link, connection):
        connection.confirm(ANCHOR)
        await until(lambda: link.live)
        first = asyncio.ensure_future(link.subscribe(["job"]))
        await until(lambda: ("SUBSCRIBE", "job") in connection.commands)
        link.unsubscribe(["job"])
        await until(lambda: ("UNSUBSCRIBE", "job") in connection.commands)
        connection.confirm("job")
        await first
        second = asyncio.ensure_future(link.subscribe(["job"]))
        await until(lambda: connection.commands.count(("SUBSCRIBE", "job")) == 2)
        assert not second.done()
        connection.confirm("job")
        await second
