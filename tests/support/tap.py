"""A transparent relay in front of a server, which records what is asked."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from support.connections import connected, listening


class Tap:
    """A transparent relay in front of a server. `received` is what the clients of its connections have sent."""

    def __init__(self, server: str) -> None:
        self._port = int(server.rpartition(":")[2])
        self.received: list[bytearray] = []

    @property
    def requests(self) -> list[str]:
        """The heads of the requests (no request here has a body)."""
        return [head for received in self.received for head in received.decode().split("\r\n\r\n")[:-1]]

    def last_ids(self, path: str) -> list[str | None]:
        """Return the Last-Event-ID of each request for this path."""
        found = [head for head in self.requests if head.split(" ")[1] == path]
        ids = [re.search(r"(?im)^last-event-id: (.*?)\r?$", head) for head in found]
        return [None if match is None else match[1] for match in ids]

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection."""
        received = bytearray()
        self.received.append(received)
        async with connected(self._port) as (far_reader, far_writer), asyncio.TaskGroup() as group:
            group.create_task(_pump(reader, far_writer, received))
            group.create_task(_pump(far_reader, writer, bytearray()))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, remembered: bytearray) -> None:
    try:
        while data := await reader.read(65536):
            remembered += data
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # the other side has disconnected: close this one, too
    finally:
        writer.close()


@asynccontextmanager
async def tapped(server: str) -> AsyncIterator[tuple[str, Tap]]:
    """Run a tap in front of this server; yield its URL and the tap."""
    tap = Tap(server)
    async with listening(tap.relay) as port:
        yield f"http://127.0.0.1:{port}", tap
