"""fal's public keys: fetched as a JWKS (RFC 7517), kept at most 24 hours, last good ones in the database.

Who calls never waits for fal longer than one deadline, and callers that arrive together share one request.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Protocol

import httpx
import msgspec
from msgspec import Raw, Struct
from nacl.signing import VerifyKey

from hookcast.errors import KeysUnavailable, SignatureInvalid, StoreUnavailable
from hookcast.fal.signature import SignedHeaders, check_timestamp, decode_key, verify
from hookcast.jobs import Clock
from hookcast.logs import get_logger

MAX_AGE = timedelta(hours=24)
REFETCH_GAP = timedelta(minutes=1)
FIRST_FETCH_GAP = timedelta(seconds=1)
FETCH_SECONDS = 5.0
MAX_DOCUMENT_BYTES = 256 * 1024

_log = get_logger(__name__)


class StoredKeys(Struct, frozen=True):
    """A JWKS document as it came, from where and when."""

    url: str
    document: bytes
    fetched_at: datetime


class KeyCache(Protocol):
    """Where the last good document outlives a restart. Both verbs raise StoreUnavailable."""

    async def load_keys(self, url: str) -> StoredKeys | None:
        """The last document saved of this URL, if any."""

    async def save_keys(self, keys: StoredKeys) -> None:
        """Replace the document."""


class _Jwk(Struct):
    kty: str = ""
    crv: str = ""
    x: str = ""


class _Jwks(Struct):
    keys: list[Raw]


def parse_jwks(document: bytes) -> tuple[VerifyKey, ...]:
    """The Ed25519 keys of a JWKS; other keys are passed over. Raises ValueError when none is left."""
    try:
        jwks = msgspec.json.decode(document, type=_Jwks)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"not a JWKS: {error}") from error
    found = [_ed25519(raw) for raw in jwks.keys]
    keys = tuple(key for key in found if key is not None)
    if not keys:
        raise ValueError("no Ed25519 key in the JWKS")
    return keys


def _ed25519(raw: Raw) -> VerifyKey | None:
    """RFC 7517 section 5: a key that is not understood is ignored, and the others count all the same."""
    try:
        jwk = msgspec.json.decode(raw, type=_Jwk)
        return decode_key(jwk.x) if jwk.kty == "OKP" and jwk.crv == "Ed25519" else None
    except (msgspec.DecodeError, ValueError):
        return None


class FalKeys:
    """Verifies webhooks with the keys that fal publishes at `url`."""

    def __init__(self, client: httpx.AsyncClient, url: str, cache: KeyCache, clock: Clock) -> None:
        self._client = client
        self._url = url
        self._cache = cache
        self._clock = clock
        self._keys: tuple[VerifyKey, ...] = ()
        self._fetched_at: datetime | None = None
        self._asked_at: datetime | None = None
        self._refreshing = asyncio.Lock()

    async def verify(self, headers: Mapping[str, str], body: bytes) -> SignedHeaders:
        """Check a webhook's signature over its raw body; answer its headers, which can now be trusted.

        Raises the 401 errors of the signature, and KeysUnavailable when there is no key to check with.
        """
        signed = SignedHeaders.read(headers)
        check_timestamp(signed, now=self._clock().timestamp())
        keys = await self._current()
        try:
            verify(signed, body, keys, now=self._clock().timestamp())
        except SignatureInvalid:
            newer = await self._refreshed(keys)
            if newer == keys:
                raise
            verify(signed, body, newer, now=self._clock().timestamp())
        return signed

    async def available(self) -> bool:
        """Whether there is any key to verify with (asks fal for them when there is none yet)."""
        try:
            await self._current()
        except KeysUnavailable:
            return False
        return True

    async def _current(self) -> tuple[VerifyKey, ...]:
        if not self._keys:
            async with self._refreshing:
                await self._load()
        if self._fetched_at is None or self._clock() - self._fetched_at >= MAX_AGE:
            await self._refreshed(self._keys)
        if not self._keys:
            raise KeysUnavailable(f"No signing key of fal is known: {self._url} did not answer with one.")
        return self._keys

    async def _load(self) -> None:
        if self._keys:
            return
        try:
            stored = await self._cache.load_keys(self._url)
            if stored is not None:
                self._keys = parse_jwks(stored.document)
                self._fetched_at = stored.fetched_at
        except (StoreUnavailable, ValueError) as error:
            _log.warning("fal_keys_not_loaded", url=self._url, reason=str(error))

    async def _refreshed(self, seen: tuple[VerifyKey, ...]) -> tuple[VerifyKey, ...]:
        """The keys after asking fal again, unless it was asked a moment ago or somebody else just did."""
        async with self._refreshing:
            gap = REFETCH_GAP if self._keys else FIRST_FETCH_GAP
            recent = self._asked_at is not None and self._clock() - self._asked_at < gap
            if self._keys == seen and not recent:
                self._asked_at = self._clock()
                await self._fetch()
            return self._keys

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                document = await self._download()
            self._keys = parse_jwks(document)
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            _log.warning("fal_keys_not_fetched", url=self._url, reason=repr(error))
            return
        self._fetched_at = self._clock()
        try:
            await self._cache.save_keys(StoredKeys(url=self._url, document=document, fetched_at=self._fetched_at))
        except StoreUnavailable:
            _log.warning("fal_keys_not_saved")

    async def _download(self) -> bytes:
        async with self._client.stream("GET", self._url) as response:
            response.raise_for_status()
            document = b""
            async for chunk in response.aiter_bytes():
                document += chunk
                if len(document) > MAX_DOCUMENT_BYTES:
                    raise ValueError("the JWKS is too large")
            return document
