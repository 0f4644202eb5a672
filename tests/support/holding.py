"""A proxy that buffers each response until it is complete, and never answers WebSocket upgrades: the worst case."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from support.web import NETWORK


class Holding:
    """Counts the requests that it holds back."""

    def __init__(self, target: int) -> None:
        self.swallowed = 0  # WebSocket upgrades
        self.held = 0  # streams begun by the server, of which the client has received nothing
        self._target = target

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle one request; the server gets it with `Connection: close`."""
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
    """Run the proxy inside the block; yield its URL and the proxy. Requests must have no body."""
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
