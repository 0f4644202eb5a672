"""TCP servers and clients of the tests. No connection outlives its block: what stays open fails some later test."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(talk: Talk, port: int = 0, **options: Any) -> AsyncIterator[int]:
    """Run a server on loopback inside the block; yield its port.

    `talk` has one connection, may find that its client is gone, and need not close it. `options` are those of
    asyncio.start_server.
    """
    talks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.get_running_loop().create_task(_answered(talk, reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", port, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for _ in range(3):  # what is accepted already is given to `accept` meanwhile
            await asyncio.sleep(0)
        for task in talks:
            task.cancel()
        ends = await asyncio.gather(*talks, return_exceptions=True)
        await server.wait_closed()
    for end in ends:
        if isinstance(end, Exception):
            raise end


async def _answered(talk: Talk, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with suppress(OSError, EOFError):
            await talk(reader, writer)
            writer.close()
            await writer.wait_closed()
    finally:
        await _cut(writer)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect to a loopback port; the connection is cut at the end of the block, without sending the rest."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        await _cut(writer)


async def _cut(writer: asyncio.StreamWriter) -> None:
    """Reset a connection, and wait until its socket is closed."""
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()
