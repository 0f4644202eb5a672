"""Files that an input requests of the emulator."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from hookcast.emulator import file_content
from hookcast.emulator.content import Content
from integration.emulator.playing import VIDEO, Emulated

SIZE = 1_000_000
FAST = 1000.0


@dataclass(frozen=True)
class File:
    """A requested file as the result tells it, its right bytes, and the client to fetch it with."""

    url: str
    content: Content
    client: httpx.AsyncClient

    @property
    def sha256(self) -> str:
        """The right hash."""
        return self.content.sha256()

    async def get(self, **headers: str) -> httpx.Response:
        """Fetch it without following redirects."""
        return await self.client.get(self.url, headers=headers)

    async def until_broken(self) -> tuple[httpx.Headers, bytes]:
        """The headers, and the bytes until the host breaks off."""
        got = bytearray()
        async with self.client.stream("GET", self.url) as response:
            with pytest.raises(httpx.RemoteProtocolError):
                await read_into(response.aiter_raw(), got)
        return response.headers, bytes(got)


async def read_into(pieces: AsyncIterator[bytes], into: bytearray) -> None:
    """Keep all pieces."""
    async for piece in pieces:
        into += piece


async def requested(fal: Emulated, endpoint_id: str = VIDEO, **wish: object) -> File:
    """Submit a job with one file, and return that."""
    job = await fal.submit(endpoint_id, speed=FAST, files=[{"bytes": SIZE, **wish}])
    result = (await fal.completed(job)).json()
    [file] = result["images"] if "images" in result else [result["video"]]
    content = file_content(job.request_id, 0, content_type=file["content_type"], size=file["file_size"])
    return File(file["url"], content, fal.client)


def hash_of(data: bytes) -> str:
    """Its SHA-256."""
    return hashlib.sha256(data).hexdigest()
