"""Authentication of a credential: an API key, a token of ours, or a token of the users' identity provider."""

import hashlib
import hmac
from collections.abc import Callable, Sequence

from hookcast.auth import tokens
from hookcast.auth.caller import EVERYBODY, NOBODY, Caller
from hookcast.auth.provider import KEY_TYPES, Provider
from hookcast.errors import TokenInvalid, Unauthorized


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
        provider: Provider | None = None,
    ) -> None:
        self.clock = clock
        self._digests = [_digest(key) for key in api_keys]
        self._secrets = secrets
        self._provider = provider
        self.open = not (api_keys or secrets or provider)

    async def admit(self, credential: str | None) -> Caller:
        """Return the credential's caller; NOBODY when there is no credential and one is needed.

        Raises Unauthorized, TokenInvalid, TokenExpired, and KeysUnavailable when the provider's keys cannot be fetched.
        """
        if self.open:
            return EVERYBODY
        if not credential:
            return NOBODY
        if len(credential) > tokens.MAX_CREDENTIAL:
            raise TokenInvalid("The token is too long.")
        digest = _digest(credential)
        # Compare with every key, each in constant time, so that timing reveals nothing about any of them.
        if any([hmac.compare_digest(digest, known) for known in self._digests]):  # noqa: C419
            return Caller(full=True, name=f"key:{digest.hex()[:12]}")
        if credential.count(".") != 2:
            raise Unauthorized("The API key or token is not valid for this server.")
        return await self._read(credential)

    async def aclose(self) -> None:
        """Cancel the request for the provider's keys, if one is in progress."""
        if self._provider is not None:
            await self._provider.aclose()

    async def _read(self, token: str) -> Caller:
        """Verify the token with the checker for its algorithm; each checker accepts only its own kind of key."""
        algorithm = tokens.algorithm_of(token)
        if algorithm == "HS256" and self._secrets:
            return tokens.read(token, self._secrets, now=self.clock())
        if algorithm in KEY_TYPES and self._provider is not None:
            return await self._provider.read(token, algorithm, now=self.clock())
        raise TokenInvalid("This server does not accept the token's algorithm.")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
