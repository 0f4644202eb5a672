"""Fetches of a body, for tests of hosts."""

from hookcast.media.fetching import Fetcher
from hookcast.media.stopping import Stop

BODY = bytes(range(256)) * 1000


def fetcher(**options: object) -> Fetcher:
    """Return a fetcher that may read from loopback."""
    return Fetcher(**{"allow_local": True, "max_bytes": 10_000_000, **options})  # type: ignore[arg-type] # the same


def fetched(url: str, stop: Stop | None = None, size: int = 100_000, **options: object) -> bytes:
    """Return the body of a URL."""
    parts, buffer = [], memoryview(bytearray(size))
    with fetcher(**options).get(url, stop or Stop()) as download:
        while count := download.read_into(buffer):
            parts.append(bytes(buffer[:count]))
    assert all(len(part) == size for part in parts[:-1]), "the buffer is filled but at the end"
    return b"".join(parts)
