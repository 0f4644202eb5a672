"""A proxy that hands on an answer only when it is complete, and swallows WebSockets: the worst that is still HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from support.web import NETWORK


class Holding:
    """Counts what it keeps to itself."""

    def __init__(self, target: int) -> None:
        self.swallowed = 0  # requests for a WebSocket
        self.held = 0  # streams that have begun, of which the client has seen nothing
        self._target = target

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request; the server is told that the connection ends with it."""
        try:
            with suppress(*NETWORK):
                head = await reader.readuntil(b"\r\n\r\n")
                if b"\r\nupgrade: websocket" in head.lower():
                    self.swallowed += 1
                    await reader.read()  # until the client gives up
                else:
                    await self._pass_on(head, writer)
        finally:
            writer.close()

    async def _pass_on(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        request, _, fields = head.partition(b"\r\n")
        kept = [line for line in fields.split(b"\r\n") if line and not line.lower().startswith(b"connection:")]
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            far_writer.write(b"\r\n".join([request, *kept, b"Connection: close", b"", b""]))
            start = await far_reader.readuntil(b"\r\n\r\n")
            self.held += b"text/event-stream" in start
            writer.write(start + await far_reader.read())
            await writer.drain()
        finally:
            far_writer.transport.abort()


@asynccontextmanager
async def holding_proxy(target: int) -> AsyncIterator[tuple[str, Holding]]:
    """Its address, and the proxy, for the length of the block; it takes requests without a body."""
    proxy = Holding(target)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(proxy.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", proxy
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
