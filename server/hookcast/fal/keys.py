"""fal's webhook signing keys: Ed25519, published as a JWKS (RFC 8037)."""

from collections.abc import Awaitable, Callable, Mapping

import httpx
import msgspec
from msgspec import Raw, Struct
from nacl.signing import VerifyKey

from hookcast.errors import KeysUnavailable, SignatureInvalid, UserMismatch
from hookcast.fal.signature import SignedHeaders, check_timestamp, decode_key, verify
from hookcast.jobs import Clock
from hookcast.jwks import KeyCache, PublishedKeys, split_jwks


class _Jwk(Struct):
    kty: str = ""
    crv: str = ""
    x: str = ""


def parse_jwks(document: bytes) -> tuple[VerifyKey, ...]:
    """Return the Ed25519 keys of a JWKS, ignoring all others. Raises ValueError when there is none."""
    keys = tuple(key for key in map(_ed25519, split_jwks(document)) if key is not None)
    if not keys:
        raise ValueError("no Ed25519 key in the JWKS")
    return keys


def _ed25519(raw: Raw) -> VerifyKey | None:
    """Return the key, or None to ignore one that is not understood (RFC 7517 section 5)."""
    try:
        jwk = msgspec.json.decode(raw, type=_Jwk)
        return decode_key(jwk.x) if jwk.kty == "OKP" and jwk.crv == "Ed25519" else None
    except (msgspec.DecodeError, ValueError):
        return None


class FalKeys:
    """Verifies webhooks with the keys that fal publishes at `url`; with a `user_id`, only that fal user's."""

    def __init__(
        self, client: httpx.AsyncClient, url: str, cache: KeyCache, clock: Clock, *, user_id: str = ""
    ) -> None:
        self._user_id = user_id
        self._keys = PublishedKeys(client, url, cache, clock, parse_jwks)
        self._clock = clock

    async def verified(
        self, headers: Mapping[str, str], read: Callable[[], Awaitable[bytes]]
    ) -> tuple[SignedHeaders, bytes]:
        """Return the signature headers of a webhook, and its body, which `read` reads, once it is verified.

        The headers are checked before the body takes memory. Raises the signature errors (401), UserMismatch,
        KeysUnavailable when there is no key to verify with, and what `read` raises.
        """
        signed = SignedHeaders.read(headers)
        check_timestamp(signed, now=self._clock().timestamp())
        await self._keys.current()
        if self._user_id and signed.user_id != self._user_id:
            raise UserMismatch("The webhook belongs to another fal user.")
        body = await read()
        await self.verify(signed, body)
        return signed, body

    async def verify(self, signed: SignedHeaders, body: bytes) -> None:
        """Verify a webhook's signature over its raw body. Raises the signature errors and KeysUnavailable."""
        keys = await self._keys.current()
        try:
            verify(signed, body, keys, now=self._clock().timestamp())
        except SignatureInvalid:
            newer = await self._keys.refreshed(keys)
            if newer == keys:
                raise
            verify(signed, body, newer, now=self._clock().timestamp())

    async def aclose(self) -> None:
        """Cancel the request for the keys, if one is in progress."""
        await self._keys.aclose()

    async def available(self) -> bool:
        """Return whether there is a key to verify with, fetching the keys when there is none yet."""
        try:
            await self._keys.current()
        except KeysUnavailable:
            return False
        return True
