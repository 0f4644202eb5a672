"""Published public keys: a JWKS (RFC 7517) fetched over HTTP, refetched after 24 hours, the last good one stored.

A caller that finds a known key does not wait for the network. Others share one request, and wait one deadline at most.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

import httpx
import msgspec
from msgspec import Raw, Struct

from hookcast.buckets import Buckets
from hookcast.errors import KeysUnavailable, StoreUnavailable
from hookcast.jobs import Clock
from hookcast.logs import get_logger

MAX_AGE = timedelta(hours=24)
RETRY_GAP = timedelta(minutes=1)
RETRY_GAP_WITHOUT_KEYS = timedelta(seconds=1)
REFRESHES = 3  # at a time, for keys that are not known
REFRESH_SECONDS = 20.0  # until there is one more
FETCH_SECONDS = 5.0
MAX_DOCUMENT_BYTES = 256 * 1024
TOO_LARGE = f"the keys take more than {MAX_DOCUMENT_BYTES // 1024} KiB"

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


def check_size(document: bytes) -> bytes:
    """Return what has been read of a document. Raises ValueError once it is too large."""
    if len(document) > MAX_DOCUMENT_BYTES:
        raise ValueError(TOO_LARGE)
    return document


def split_jwks(document: bytes) -> list[Raw]:
    """Return the keys of a JWKS, each as its own JSON. Raises ValueError."""
    try:
        return msgspec.json.decode(document, type=_Jwks).keys
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"not a JWKS: {error}") from error


class PublishedKeys(Generic[_Keys]):
    """The keys at `url`; `parse` reads them from the document, and raises ValueError when there is none.

    One request at a time fetches them, in a task of its own, which `aclose` cancels.
    """

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
        self._loading = asyncio.Lock()
        self._fetching: asyncio.Task[None] | None = None
        self._refreshes = Buckets(lambda: clock().timestamp(), rate=1 / REFRESH_SECONDS, burst=REFRESHES)

    async def current(self) -> _Keys:
        """Return the keys. Known ones are returned at once, and refetched meanwhile when they are 24 hours old.

        Raises KeysUnavailable when none are known and none can be fetched.
        """
        if self._keys is None:
            await self._load()
        if self._keys is None:
            await self._fetched(RETRY_GAP_WITHOUT_KEYS)
        elif self._fetched_at is None or self._clock() - self._fetched_at >= MAX_AGE:
            self._start_fetching(RETRY_GAP)
        if self._keys is None:
            raise KeysUnavailable(f"No signing key is available: {self._url} returned none.")
        return self._keys

    async def refreshed(self, seen: _Keys) -> _Keys:
        """Return keys newer than `seen`, for a signature that none of those made: refetched, but rarely.

        At most REFRESHES at a time and one per REFRESH_SECONDS, for all callers together: forged keys cannot use up the
        refresh that a new key of the publisher needs.
        """
        if self._keys == seen and (self._fetching is not None or not self._refreshes.take(self._url)):
            await self._fetched(timedelta(0))
        return seen if self._keys is None else self._keys

    async def aclose(self) -> None:
        """Cancel the request in progress, if any."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait((self._fetching,))

    async def _load(self) -> None:
        async with self._loading:
            if self._keys is not None:
                return
            try:
                stored = await self._cache.load_keys(self._url)
                if stored is not None:
                    self._keys = self._parse(stored.document)
                    self._fetched_at = stored.fetched_at
            except (StoreUnavailable, ValueError) as error:
                _log.warning("keys_not_loaded", url=self._url, reason=str(error))

    async def _fetched(self, gap: timedelta) -> None:
        """Wait for the request in progress, or for a new one unless the last one began less than `gap` ago."""
        self._start_fetching(gap)
        if self._fetching is not None:
            await asyncio.wait((self._fetching,))  # continues if this caller is cancelled

    def _start_fetching(self, gap: timedelta) -> None:
        recent = self._asked_at is not None and self._clock() - self._asked_at < gap
        if self._fetching is None and not recent:
            self._asked_at = self._clock()
            self._fetching = asyncio.create_task(self._fetch())

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                document = await self._download()
            self._keys = self._parse(document)
            self._fetched_at = self._clock()
            await self._cache.save_keys(StoredKeys(url=self._url, document=document, fetched_at=self._fetched_at))
        except StoreUnavailable:
            _log.warning("keys_not_saved", url=self._url)
        except Exception as error:  # noqa: BLE001 - whatever the network does, known keys stay in use
            _log.warning("keys_not_fetched", url=self._url, reason=repr(error))
        finally:
            self._fetching = None

    async def _download(self) -> bytes:
        async with self._client.stream("GET", self._url) as response:
            response.raise_for_status()
            document = b""
            async for chunk in response.aiter_bytes():
                document = check_size(document + chunk)
            return document
