"""Tokens of the users' own identity provider (Supabase Auth, Auth0, Clerk …), verified with the keys it publishes.

Only the user's id is used: it names the owner of jobs.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from hookcast.auth import tokens
from hookcast.auth.caller import Caller
from hookcast.auth.jws import Signed
from hookcast.auth.published import Key, Keys
from hookcast.errors import Refusal, TokenInvalid
from hookcast.jwks import PublishedKeys
from hookcast.trust import Trust

MAX_TRIED = 20  # keys per token whose key is not named


class Provider:
    """One identity provider: what its tokens must say, and the keys that it publishes."""

    def __init__(self, keys: PublishedKeys[Keys], trust: Trust) -> None:
        self.trust = trust
        self._keys = keys

    async def aclose(self) -> None:
        """Cancel the request for the keys, if one is in progress."""
        await self._keys.aclose()

    async def read(self, token: Signed, *, now: float) -> Caller:
        """Return the caller that the token stands for; its issuer is one of `trust.issuers`.

        Raises TokenInvalid, TokenExpired and KeysUnavailable.
        """
        claims = await self._verified(token, now)
        self._check_audience(claims)
        times = {name: claims[name] for name in ("exp", "nbf") if name in claims}
        return tokens.caller({**times, "sub": self._user(claims)}, now=now)

    async def _verified(self, token: Signed, now: float) -> Mapping[str, Any]:
        """Return the claims. Keys are fetched again only if no known one is named by the token: it may be a new one."""
        keys = await self._keys.current()
        fitting = _fitting(keys, token, now)
        claims = _claims(fitting, token)
        if claims is None and not any(key.key_id == token.key_id is not None for key in fitting):
            fitting = _fitting(await self._keys.refreshed(keys), token, now)
            claims = _claims(fitting, token)
        if claims is not None:
            return claims
        if fitting:
            raise TokenInvalid("The token's signature is not valid.", Refusal.BAD_SIGNATURE)
        raise TokenInvalid("The token's key is not among those its issuer publishes.", Refusal.UNKNOWN_KEY)

    def _check_audience(self, claims: Mapping[str, Any]) -> None:
        """Check for whom the token was issued (RFC 7519 section 4.1.3).

        Without an `aud`, or with an empty one, `azp` or `client_id` says to which application it was issued.
        """
        given = claims.get("aud") or ()
        named = [given] if isinstance(given, str) else given
        if not named and not self.trust.audiences:
            return
        meant = named or (claims.get("azp"), claims.get("client_id"))
        if not (isinstance(meant, list | tuple) and any(each in self.trust.audiences for each in meant)):
            told = " ".join(each for each in meant if isinstance(each, str)) if isinstance(meant, list | tuple) else ""
            raise TokenInvalid("The token was not issued for this server.", Refusal.WRONG_AUDIENCE, audience=told)

    def _user(self, claims: Mapping[str, Any]) -> str:
        """Return the user's id: text, or a whole number as text."""
        value: Any = claims
        for name in self.trust.user:
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        try:
            return msgspec.convert(value, tokens.Name)
        except msgspec.ValidationError:
            claim = ".".join(self.trust.user)
            raise TokenInvalid(
                f"The token has no user id in its claim {claim}.", Refusal.NO_USER, claim=claim
            ) from None


def _fitting(keys: Keys, token: Signed, now: float) -> list[Key]:
    """Return the keys to try: those that the token's `kid` names, or those that a lack of `kid` leaves open."""
    usable = [key for key in keys if token.algorithm in key.algorithms and now < key.until]
    if token.key_id is None:
        return usable[:MAX_TRIED]
    named = [key for key in usable if key.key_id == token.key_id]
    return named or [key for key in usable if key.key_id is None][:MAX_TRIED]


def _claims(keys: list[Key], token: Signed) -> Mapping[str, Any] | None:
    return next((claims for key in keys if (claims := token.claims(key.material)) is not None), None)
