"""Published public keys: a JWKS (RFC 7517) fetched over HTTP, refetched after 24 hours, the last good one stored.

A caller never waits longer than one deadline, and concurrent callers share one request.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

import httpx
import msgspec
from msgspec import Raw, Struct

from hookcast.errors import KeysUnavailable, StoreUnavailable
from hookcast.jobs import Clock
from hookcast.logs import get_logger

MAX_AGE = timedelta(hours=24)
REFETCH_GAP = timedelta(minutes=1)
FIRST_FETCH_GAP = timedelta(seconds=1)
FETCH_SECONDS = 5.0
MAX_DOCUMENT_BYTES = 256 * 1024

_log = get_logger(__name__)
_Keys = TypeVar("_Keys", bound=tuple[object, ...])


class StoredKeys(Struct, frozen=True):
    """A JWKS document as received, with its URL and the time of the fetch."""

    url: str
    document: bytes
    fetched_at: datetime


class KeyCache(Protocol):
    """Keeps the last good document across restarts. Both methods raise StoreUnavailable."""

    async def load_keys(self, url: str) -> StoredKeys | None:
        """Return the last document saved for this URL, if any."""

    async def save_keys(self, keys: StoredKeys) -> None:
        """Replace the document saved for its URL."""


class _Jwks(Struct):
    keys: list[Raw]


def split_jwks(document: bytes) -> list[Raw]:
    """Return the keys of a JWKS, each as its own JSON. Raises ValueError."""
    try:
        return msgspec.json.decode(document, type=_Jwks).keys
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"not a JWKS: {error}") from error


class PublishedKeys(Generic[_Keys]):
    """The keys at `url`; `parse` reads them from the document, and raises ValueError when there is none."""

    def __init__(
        self, client: httpx.AsyncClient, url: str, cache: KeyCache, clock: Clock, parse: Callable[[bytes], _Keys]
    ) -> None:
        self._client = client
        self._url = url
        self._cache = cache
        self._clock = clock
        self._parse = parse
        self._keys: _Keys | None = None
        self._fetched_at: datetime | None = None
        self._asked_at: datetime | None = None
        self._refreshing = asyncio.Lock()

    async def current(self) -> _Keys:
        """Return the keys, fetched when there are none or they are 24 hours old. Raises KeysUnavailable."""
        if self._keys is None:
            async with self._refreshing:
                await self._load()
        if self._fetched_at is None or self._clock() - self._fetched_at >= MAX_AGE:
            await self._refresh(self._keys)
        if self._keys is None:
            raise KeysUnavailable(f"No signing key is known: {self._url} did not answer with one.")
        return self._keys

    async def refreshed(self, seen: _Keys) -> _Keys:
        """Refetch the keys and return them; no fetch within a minute of the last, or when `seen` is outdated."""
        await self._refresh(seen)
        return seen if self._keys is None else self._keys

    async def _load(self) -> None:
        if self._keys is not None:
            return
        try:
            stored = await self._cache.load_keys(self._url)
            if stored is not None:
                self._keys = self._parse(stored.document)
                self._fetched_at = stored.fetched_at
        except (StoreUnavailable, ValueError) as error:
            _log.warning("keys_not_loaded", url=self._url, reason=str(error))

    async def _refresh(self, seen: _Keys | None) -> None:
        async with self._refreshing:
            gap = REFETCH_GAP if self._keys else FIRST_FETCH_GAP
            recent = self._asked_at is not None and self._clock() - self._asked_at < gap
            if self._keys == seen and not recent:
                self._asked_at = self._clock()
                await self._fetch()

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                document = await self._download()
            self._keys = self._parse(document)
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            _log.warning("keys_not_fetched", url=self._url, reason=repr(error))
            return
        self._fetched_at = self._clock()
        try:
            await self._cache.save_keys(StoredKeys(url=self._url, document=document, fetched_at=self._fetched_at))
        except StoreUnavailable:
            _log.warning("keys_not_saved", url=self._url)

    async def _download(self) -> bytes:
        async with self._client.stream("GET", self._url) as response:
            response.raise_for_status()
            document = b""
            async for chunk in response.aiter_bytes():
                document += chunk
                if len(document) > MAX_DOCUMENT_BYTES:
                    raise ValueError("the JWKS is too large")
            return document
