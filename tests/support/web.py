"""A small HTTP/1.1 client for high request rates: keeps connections alive, and retries only in `settled`."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping

AGAIN_SECONDS = 0.2  # until a request that was answered 503 is sent again
IDLE_SECONDS = 2.0  # uvicorn closes connections after 5 s of idling
_Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]

NETWORK = (OSError, EOFError, TimeoutError)
"""Errors that a request may raise; asyncio.IncompleteReadError is an EOFError."""


class Web:
    """Keep-alive connections to loopback ports. Close it after use."""

    def __init__(self) -> None:
        self._idle: dict[int, list[tuple[float, _Line]]] = defaultdict(list)

    async def request(
        self, port: int, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> tuple[int, bytes]:
        """Send a request, and return status and body. Raises the errors in NETWORK."""
        reader, writer = line = await self._line(port)
        try:
            lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
            head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n{lines}\r\n"
            writer.write(head.encode() + body)
            status, fields = parse_head(await reader.readuntil(b"\r\n\r\n"))
            answer = await reader.readexactly(int(fields.get("content-length", "0")))
        except BaseException:
            writer.transport.abort()
            raise
        if fields.get("connection", "").lower() == "close":
            writer.close()
        else:
            self._idle[port].append((asyncio.get_running_loop().time(), line))
        return status, answer

    async def settled(self, port: int, method: str, path: str, *, body: bytes = b"") -> tuple[int, bytes]:
        """Send a request, again as long as it is answered 503: on a busy machine the database may miss a deadline."""
        while True:
            status, answer = await self.request(port, method, path, body=body)
            if status != 503:
                return status, answer
            await asyncio.sleep(AGAIN_SECONDS)

    async def close(self) -> None:
        """Close the idle connections."""
        writers = [writer for lines in self._idle.values() for _, (_, writer) in lines]
        self._idle.clear()
        for writer in writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)

    async def _line(self, port: int) -> _Line:
        oldest = asyncio.get_running_loop().time() - IDLE_SECONDS
        idle = self._idle[port]
        while idle:
            since, (reader, writer) = idle.pop()
            if since > oldest and not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.transport.abort()
        return await asyncio.open_connection("127.0.0.1", port)


def parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Return status and header fields of a response."""
    first, *rest = head.decode("latin-1").split("\r\n")
    fields = (line.partition(":") for line in rest if line)
    return int(first.split(" ", 2)[1]), {name.lower(): value.strip() for name, _, value in fields}


async def has_database(port: int) -> None:
    """Wait until the node at this port has opened its database."""
    web = Web()
    try:
        while (await web.request(port, "GET", "/readyz"))[0] == 503:  # noqa: ASYNC110 - another process
            await asyncio.sleep(AGAIN_SECONDS)
    finally:
        await web.close()
