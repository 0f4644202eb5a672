"""A raw socket client, for requests that no library would send."""

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from support.push import client_frames
from support.server import Node, until

SMALL = 8 * 1024
UPGRADE = (
    b"GET /api/fal-jobs/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def get(path: str, *headers: str, version: str = "1.1", method: str = "GET") -> bytes:
    """Return a request."""
    lines = [f"{method} {path} HTTP/{version}", "Host: x", *headers]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


def events(request_id: str) -> bytes:
    """Return a request for a job's stream."""
    return get(f"/api/fal-jobs/{request_id}/events")


def subscribe(*names: str) -> bytes:
    """Return a WebSocket client's subscribe message as a frame."""
    return client_frames({"type": "subscribe", "requestIds": names})


class Raw:
    """One connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._seen = bytearray()

    @property
    def seen(self) -> bytes:
        """All data read since the start, or since `forget`."""
        return bytes(self._seen)

    def forget(self) -> None:
        """Discard the data read so far."""
        self._seen.clear()

    async def send(self, data: bytes) -> None:
        """Send all of the data."""
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def more(self) -> bytes:
        """Read the next data; empty at the end, including a reset by the server."""
        try:
            data = await asyncio.get_running_loop().sock_recv(self.sock, 65536)
        except ConnectionResetError:
            data = b""
        self._seen += data
        return data

    async def until(self, mark: bytes) -> bytes:
        """Read until `mark` has arrived, and return all data."""
        looked = 0
        while self._seen.find(mark, looked) < 0:
            looked = max(len(self._seen) - len(mark), 0)
            assert await self.more(), f"the connection ended before {mark!r}: {self._seen[-500:]!r}"
        return self.seen

    async def rest(self) -> bytes:
        """Read to the end, and return all data."""
        while await self.more():
            pass
        return self.seen

    def cut(self) -> None:
        """Reset the connection without a FIN, as a failing network does."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


async def connect(node: Node, *, small: bool = False) -> Raw:
    """Connect; `small` sets a small receive buffer."""
    sock = socket.socket()
    sock.setblocking(False)
    if small:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    port = int(node.url.rpartition(":")[2])
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    return Raw(sock)


@asynccontextmanager
async def raw(node: Node, *, small: bool = False) -> AsyncIterator[Raw]:
    """Open a connection inside the block."""
    client = await connect(node, small=small)
    try:
        yield client
    finally:
        client.sock.close()


async def fall_behind(node: Node, client: Raw) -> None:
    """Request answers without reading them, until one waits in the server because the kernel's buffers are full."""
    connection = await _connection(node, client)
    before = None
    while not connection.flow.write_paused:
        await client.send(get("/openapi.json"))  # sent whole; the answers about jobs as their client reads them
        await until(lambda seen=before: _answered(connection.cycle, seen))  # type: ignore[misc]
        before = connection.cycle


def _answered(cycle: Any, before: Any) -> bool:
    return cycle is not None and cycle is not before and cycle.response_complete


def connections(node: Node) -> list[Any]:
    """Return the server's connections that are not streams."""
    return [each for each in node.server.server_state.connections if hasattr(each, "transport")]


async def _connection(node: Node, client: Raw) -> Any:
    """Return the server's side of the connection, as soon as the server has accepted it."""
    ours = client.sock.getsockname()
    while True:
        for connection in connections(node):
            if connection.transport is not None and connection.transport.get_extra_info("peername") == ours:
                return connection
        await asyncio.sleep(0.001)


def versions(data: bytes) -> list[int]:
    """Return the versions of the states in the data, SSE or WebSocket."""
    return [int(found) for found in re.findall(rb'"status":"\w+","version":(\d+)', data)]
