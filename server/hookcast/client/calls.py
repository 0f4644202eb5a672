"""Single calls: with retries, within one limit of time, and with answers that are as documented."""

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeVar

import httpx

from hookcast.client.attempts import Sleep
from hookcast.client.connection import Connection, Request, within
from hookcast.client.errors import Unavailable, UnexpectedAnswer, Unreachable
from hookcast.client.model import Job, decode_job

ATTEMPTS = 3
PAUSE_SECONDS = 0.25
_T = TypeVar("_T")


class Calls:
    """The calls of one client. `timeout` is in seconds, for each call including retries."""

    def __init__(self, connection: Connection, timeout: float, sleep: Sleep, jitter: Callable[[], float]) -> None:
        self._connection = connection
        self._timeout = timeout
        self._sleep = sleep
        self._jitter = jitter

    async def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        repeat: bool = True,
    ) -> httpx.Response:
        """Return a successful response. Without `repeat`, retry only what the server certainly did not process.

        Raises ClientError.
        """
        request = Request(
            method=method,
            path=path,
            params=params or {},
            headers=headers or {},
            content=content,
            silence=self._timeout,
        )
        ends = asyncio.get_running_loop().time() + self._timeout
        return await within(self._timeout, self._attempts(request, ends, repeat=repeat), self._connection.url)

    async def _attempts(self, request: Request, ends: float, *, repeat: bool) -> httpx.Response:
        clock = asyncio.get_running_loop().time
        for attempt in range(1, ATTEMPTS):
            try:
                return await self._connection.ask(request)
            except Unavailable as error:
                if clock() + error.retry_after >= ends or (not repeat and error.status in {502, 504}):
                    raise
                pause = error.retry_after
            except Unreachable as error:
                if not repeat and error.code != "unreachable":
                    raise
                pause = 0.0
            await self._sleep(max(pause, self._jitter() * PAUSE_SECONDS * 2**attempt))
        return await self._connection.ask(request)

    def job(self, response: httpx.Response) -> Job:
        """Return the job of a response. Raises UnexpectedAnswer."""
        return self.read(decode_job, response)

    def read(self, decode: Callable[[bytes], _T], response: httpx.Response) -> _T:
        """Return what a response says. Raises UnexpectedAnswer."""
        try:
            return decode(response.content)
        except (ValueError, RecursionError) as error:
            raise UnexpectedAnswer(f"{self._connection.url} did not answer as documented: {error}.") from error
