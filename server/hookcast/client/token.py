"""The token: a string, or an async function that returns a new one when the old one expires or is rejected."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx

from hookcast.client.errors import AccessRefused, Unreachable

Token = str | Callable[[], Awaitable[str]] | None
"""The credential sent as `Authorization: Bearer …`."""


class TokenSource:
    """Supplies the token; concurrent renewals share one call of the function, limited to `seconds`."""

    def __init__(self, token: Token, *, seconds: float) -> None:
        self._ask = token if callable(token) else None
        self._token = None if token is None or callable(token) else _checked(token)
        self._seconds = seconds
        self._asking = asyncio.Lock()

    async def current(self) -> str | None:
        """Return the token, or None without one. Raises the errors of `renewed`."""
        if self._token is None and self._ask is not None:
            return await self.renewed(None)
        return self._token

    async def renewed(self, refused: str | None) -> str | None:
        """Return a token other than `refused`, or None when there is none.

        Raises Unreachable when the function times out, or fails with a network error or with httpx's HTTPStatusError of
        429 or 5xx; its other errors propagate.
        """
        if self._ask is None:
            return None
        async with self._asking:
            if self._token == refused:
                self._token = _checked(await self._asked(self._ask))
            return self._token if self._token != refused else None

    async def _asked(self, ask: Callable[[], Awaitable[str]]) -> str:
        try:
            async with asyncio.timeout(self._seconds):
                return await ask()
        except (OSError, httpx.TransportError) as error:  # TimeoutError is an OSError
            raise _failed(str(error) or type(error).__name__) from error
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            if status != 429 and status < 500:
                raise
            raise _failed(f"the response was {status}") from error


def _failed(reason: str) -> Unreachable:
    return Unreachable(f"Could not get a new token: {reason}.", code="token_failed")


def _checked(token: object) -> str:
    """Validate a token here: an HTTP library's error message would contain the whole token."""
    if isinstance(token, str) and token.isascii() and token.isprintable() and token and " " not in token:
        return token
    raise AccessRefused("`token` gave no token: a token is a string of visible ASCII characters.", code="token_invalid")
