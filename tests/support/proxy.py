"""A TCP proxy that can delay, stall and reset its connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from support.connections import connected, listening
from support.ports import quiet_port

CHUNK = 64 * 1024
MAX_ON_THE_WAY = 1000  # chunks per direction; beyond it the sender gets back-pressure


class Proxy:
    """Forwards connections from `port` to `target`, a loopback port."""

    def __init__(self, target: int) -> None:
        self.port = quiet_port()
        self.delay = 0.0  # seconds, each way; throughput is unaffected
        self._target = target
        self._refusing = False
        self._word: bytes | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """The proxy's HTTP URL."""
        return f"http://127.0.0.1:{self.port}"

    def stall(self) -> None:
        """Stop forwarding, and keep every connection open."""
        self._flowing.clear()

    def stall_at(self, word: bytes) -> None:
        """Stall before forwarding the next chunk that contains `word`."""
        self._word = word

    @property
    def stalled(self) -> bool:
        """True while nothing is forwarded."""
        return not self._flowing.is_set()

    def cut(self) -> None:
        """Reset every connection, and refuse new ones."""
        self._refusing = True
        for writer in tuple(self._open):
            writer.transport.abort()

    def redirect(self, target: int) -> None:
        """Lead new connections to another port; open ones stay where they are."""
        self._target = target

    def heal(self) -> None:
        """Forward everything without delay again."""
        self._refusing = False
        self._word = None
        self.delay = 0.0
        self._flowing.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection until either side closes it."""
        if self._refusing:
            writer.transport.abort()
            return
        self._open.add(writer)
        try:
            async with connected(self._target) as (far_reader, far_writer):
                self._open.add(far_writer)
                try:
                    await self._both(reader, writer, far_reader, far_writer)
                finally:
                    self._open.discard(far_writer)
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _both(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        ways = [
            asyncio.ensure_future(self._pump(reader, far_writer)),
            asyncio.ensure_future(self._pump(far_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one direction until either side closes it."""
        way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(MAX_ON_THE_WAY)
        writing = asyncio.ensure_future(self._write(way, writer))
        clock = asyncio.get_running_loop().time
        try:
            while data := await reader.read(CHUNK):
                if self._word is not None and self._word in data:
                    self._word = None
                    self.stall()
                await way.put((clock() + self.delay, data))
            await way.join()
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def _write(self, way: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            due, data = await way.get()
            if (early := due - clock()) > 0:
                await asyncio.sleep(early)
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()
            way.task_done()


@asynccontextmanager
async def running_proxy(target: int) -> AsyncIterator[Proxy]:
    """Run a proxy inside the block."""
    proxy = Proxy(target)
    async with listening(proxy.serve, proxy.port):
        yield proxy
