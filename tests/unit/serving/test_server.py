"""How the server accepts connections."""

import asyncio
import contextlib
import socket

import pytest

from hookcast.serving.server import ACCEPTED_AT_ONCE, accepting, bind

uvloop = pytest.importorskip("uvloop")


def test_connections_that_come_together_are_accepted_together() -> None:
    """Several in each turn of the event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(_turns(connections=8 * ACCEPTED_AT_ONCE)) < 4 * ACCEPTED_AT_ONCE


async def _turns(connections: int) -> int:
    """Return the number of turns in which so many connections are accepted that wait already."""
    loop, made, turns = asyncio.get_running_loop(), list[asyncio.BaseTransport](), 0

    class Noting(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.append(transport)

    async with contextlib.AsyncExitStack() as stack:
        listener = bind("127.0.0.1", 0)
        for each in accepting(listener):
            await stack.enter_async_context(await loop.create_server(Noting, sock=each))
        for _ in range(connections):
            stack.enter_context(contextlib.closing(socket.create_connection(listener.getsockname())))
        while len(made) < connections:
            await asyncio.sleep(0)
            turns += 1
        for transport in made:
            transport.close()
    return turns
