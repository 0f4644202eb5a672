"""Authentication of a credential: an API key, a token of ours, or a token of an identity provider of the users."""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from hookcast.auth import jws, tokens
from hookcast.auth.caller import EVERYBODY, NOBODY, Caller
from hookcast.auth.provider import Provider
from hookcast.errors import Refusal, TokenExpired, TokenInvalid, Unauthorized
from hookcast.logs import Throttle, shown

KEPT_TOKENS = 4096
KEPT_CHARACTERS = 2048  # of a token that is kept


class Gate:
    """Authenticates callers. Without a key, a secret and a provider the server is open: every caller may do everything.

    `clock` returns unix seconds.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        api_keys: Sequence[str] = (),
        secrets: Sequence[str] = (),
        providers: Sequence[Provider] = (),
    ) -> None:
        self.clock = clock
        digests = [_digest(key) for key in api_keys]
        self._keys = [(digest, Caller(full=True, name=f"key:{digest.hex()[:12]}")) for digest in digests]
        self._secrets = secrets
        self._providers = {issuer: provider for provider in providers for issuer in provider.trust.issuers}
        self._known: OrderedDict[bytes, Caller] = OrderedDict()  # by the digests of tokens that our secrets signed
        self._log = Throttle()
        self.open = not (api_keys or secrets or providers)

    async def admit(self, credential: str | None) -> Caller:
        """Return the credential's caller; NOBODY when there is no credential and one is needed.

        Raises Unauthorized, TokenInvalid, TokenExpired, and KeysUnavailable when the provider's keys cannot be fetched.
        """
        if self.open:
            return EVERYBODY
        if not credential:
            return NOBODY
        if len(credential) > tokens.MAX_CREDENTIAL:
            self._log.warning("token_refused", reason=Refusal.MALFORMED)
            raise TokenInvalid("The token is too long.")
        digest = _digest(credential)
        # Compare with every key, each in constant time, so that timing reveals nothing about any of them.
        found = [caller for known, caller in self._keys if hmac.compare_digest(digest, known)]
        if found:
            return found[0]
        known = self._known.get(digest)
        if known is not None and (known.expires_at or 0.0) > self.clock():
            return known
        if credential.count(".") != 2:
            self._log.warning("token_refused", reason=Refusal.NOT_A_TOKEN)
            raise Unauthorized("The API key or token is not valid for this server.")
        return await self._read(credential, digest)

    async def aclose(self) -> None:
        """Cancel the requests for providers' keys that are in progress."""
        for provider in self._providers.values():
            await provider.aclose()

    async def _read(self, text: str, digest: bytes) -> Caller:
        token = None
        try:
            token = jws.parse(text)
            caller = await self._verify(token)
        except TokenExpired:
            self._refused(Refusal.EXPIRED, token, {})
            raise
        except TokenInvalid as error:
            self._refused(error.refusal, token, error.facts)
            raise
        if token.algorithm == jws.HS256 and len(text) <= KEPT_CHARACTERS:
            self._keep(digest, caller)
        return caller

    def _keep(self, digest: bytes, caller: Caller) -> None:
        """Know a token that our secret signed: verified again, it costs as much as the rest of a request.

        Not those of providers, who may withdraw a key.
        """
        self._known[digest] = caller
        if len(self._known) > KEPT_TOKENS:
            self._known.popitem(last=False)

    async def _verify(self, token: jws.Signed) -> Caller:
        """Verify the token with the checker for its algorithm; each checker accepts only its own kind of key."""
        if token.algorithm == jws.HS256 and self._secrets:
            return tokens.read(token, self._secrets, now=self.clock())
        if token.algorithm not in jws.ASYMMETRIC or not self._providers:
            raise TokenInvalid("This server does not accept the token's algorithm.", Refusal.ALGORITHM_NOT_ALLOWED)
        provider = self._providers.get(token.issuer or "")
        if provider is None:
            raise TokenInvalid("This server does not accept tokens of this issuer.", Refusal.WRONG_ISSUER)
        return await provider.read(token, now=self.clock())

    def _refused(self, reason: Refusal, token: jws.Signed | None, facts: Mapping[str, str]) -> None:
        """Log why, for the operator: never the token, and of its content only what identifies its maker."""
        if token is not None:
            claimed = {"issuer": token.issuer, "algorithm": token.algorithm, "key_id": token.key_id}
            facts = {**{name: text for name, text in claimed.items() if text is not None}, **facts}
        self._log.warning("token_refused", reason=reason, **{name: shown(text) for name, text in facts.items()})


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
