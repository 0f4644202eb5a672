"""Tokens of the users' own identity provider (Supabase Auth, Auth0, Clerk …), verified with the keys it publishes.

JWTs (RFC 7519) signed with RS256, ES256 or EdDSA; keys as a JWKS (RFC 7517). Only `sub` is used: it names the owner.
"""

from typing import Any, Literal

import jwt
import msgspec
from msgspec import Raw, Struct

from hookcast.auth import tokens
from hookcast.auth.caller import Caller
from hookcast.errors import TokenInvalid
from hookcast.jwks import PublishedKeys, split_jwks

# The key type of each algorithm (RFC 7518 section 6.1, RFC 8037): the token alone never decides it.
KEY_TYPES = {"RS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
Keys = tuple[jwt.PyJWK, ...]


class _Jwk(Struct):
    """The members that a usable key has. A key published with its private part, `d`, is compromised: not accepted."""

    kty: Literal["RSA", "EC", "OKP"]
    alg: Literal["RS256", "ES256", "EdDSA"] | None = None
    use: Literal["sig"] | None = None
    kid: str | None = None
    d: None = None


def parse_keys(document: bytes) -> Keys:
    """Return the usable signing keys of a JWKS. Raises ValueError when there is none."""
    keys = tuple(key for key in map(_key, split_jwks(document)) if key is not None)
    if not keys:
        raise ValueError("no RS256, ES256 or EdDSA key in the JWKS")
    return keys


def _key(raw: Raw) -> jwt.PyJWK | None:
    """Return the key, or None to ignore one that is not understood (RFC 7517 section 5)."""
    try:
        msgspec.json.decode(raw, type=_Jwk)
        key = jwt.PyJWK(msgspec.json.decode(raw))
        # RFC 7518 section 3.3: RSA keys have 2048 bits or more.
        return key if key.Algorithm.check_key_length(key.key) is None else None
    except (msgspec.DecodeError, jwt.PyJWTError, ValueError, TypeError):
        return None


class Provider:
    """One issuer, one audience, and the keys that the issuer publishes."""

    def __init__(self, keys: PublishedKeys[Keys], *, issuer: str, audience: str) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience

    async def aclose(self) -> None:
        """Cancel the request for the keys, if one is in progress."""
        await self._keys.aclose()

    async def read(self, token: str, algorithm: str, *, now: float) -> Caller:
        """Return the caller that the token stands for. Raises TokenInvalid, TokenExpired and KeysUnavailable."""
        keys = await self._keys.current()
        fitting = _fitting(keys, token, algorithm)
        if not fitting:  # the provider may have rotated its keys
            fitting = _fitting(await self._keys.refreshed(keys), token, algorithm)
        for key in fitting:
            try:
                claims = self._decode(token, key, algorithm)
            except TokenInvalid:
                continue
            return tokens.caller({name: claims[name] for name in ("exp", "nbf", "sub") if name in claims}, now=now)
        raise TokenInvalid("The token is not valid for this server: check signature, issuer, audience and subject.")

    def _decode(self, token: str, key: jwt.PyJWK, algorithm: str) -> dict[str, Any]:
        required = ("iss", "aud", "sub")
        return tokens.decode(token, key, algorithm, issuer=self._issuer, audience=self._audience, require=required)


def _fitting(keys: Keys, token: str, algorithm: str) -> list[jwt.PyJWK]:
    """Return the key that the token's `kid` names, or every key of the right kind when it has no `kid`."""
    named = jwt.get_unverified_header(token).get("kid")
    return [
        key
        for key in keys
        if key.key_type == KEY_TYPES[algorithm] and key.algorithm_name == algorithm and named in {None, key.key_id}
    ]
