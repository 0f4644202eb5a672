"""A proxy that buffers each response until it is complete, and never answers WebSocket upgrades: the worst case."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from support.connections import connected, listening


class Holding:
    """Counts the requests that it holds back."""

    def __init__(self, target: int) -> None:
        self.swallowed = 0  # WebSocket upgrades
        self.held = 0  # streams begun by the server, of which the client has received nothing
        self._target = target

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle one request; the server gets it with `Connection: close`."""
        head = await reader.readuntil(b"\r\n\r\n")
        if b"\r\nupgrade: websocket" in head.lower():
            self.swallowed += 1
            await reader.read()  # until the client gives up
        else:
            await self._pass_on(head, writer)

    async def _pass_on(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        request, _, fields = head.partition(b"\r\n")
        kept = [line for line in fields.split(b"\r\n") if line and not line.lower().startswith(b"connection:")]
        async with connected(self._target) as (far_reader, far_writer):
            far_writer.write(b"\r\n".join([request, *kept, b"Connection: close", b"", b""]))
            start = await far_reader.readuntil(b"\r\n\r\n")
            self.held += b"text/event-stream" in start
            writer.write(start + await far_reader.read())
            await writer.drain()


@asynccontextmanager
async def holding_proxy(target: int) -> AsyncIterator[tuple[str, Holding]]:
    """Run the proxy inside the block; yield its URL and the proxy. Requests must have no body."""
    proxy = Holding(target)
    async with listening(proxy.serve) as port:
        yield f"http://127.0.0.1:{port}", proxy
