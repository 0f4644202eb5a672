"""One watch of one job: every newer state until the terminal one, across reconnects and server restarts."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from typing import cast

import httpx
from msgspec import Struct

from hookcast.client.connection import Connection, Request, job_path, within
from hookcast.client.errors import (
    AccessRefused,
    ClientError,
    NotFound,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from hookcast.client.eventstream import EventParser
from hookcast.client.ladder import Ladder, Transport, Trouble
from hookcast.client.model import Job, decode_job
from hookcast.wire import END_ID, SSE_END

FIRST_BYTES_SECONDS = 10.0
STEADY_SECONDS = 5.0  # a stream open this long counts as working
HEARTBEATS = 2.5
WAIT_SECONDS = 25
POLL_SECONDS = 3.0
HASTY_SECONDS = 1.0  # a long poll that returns sooner without a newer version was not held open

Sleep = Callable[[float], Awaitable[object]]


class Notice(Struct, frozen=True):
    """Status of a watch: the transport, the error (None = connected), and seconds to the next attempt."""

    transport: Transport
    trouble: str | None = None
    pause: float = 0.0


class _Failed(Exception):
    """A failed attempt that will be retried."""

    def __init__(self, trouble: Trouble, reason: str, *, at_least: float = 0.0) -> None:
        super().__init__(reason)
        self.trouble = trouble
        self.at_least = at_least


class Watcher:
    """Watches a job. `heartbeat` and `timeout` in seconds; `notify` must not block; tests pass `sleep` and `clock`."""

    def __init__(
        self,
        connection: Connection,
        request_id: str,
        ladder: Ladder,
        *,
        heartbeat: float,
        timeout: float,
        notify: Callable[[Notice], object],
        sleep: Sleep,
        clock: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._path = job_path(request_id)
        self._ladder = ladder
        self._heartbeat = heartbeat
        self._timeout = timeout
        self._notify = notify
        self._sleep = sleep
        self._clock = clock
        self._version = 0
        self._met = False
        self._connected: Transport | None = None
        self._since = 0.0

    async def states(self) -> AsyncGenerator[Job, None]:
        """Yield newer states only; return after the terminal one. Raises ClientError when a retry cannot help."""
        ways = {Transport.SSE: self._events, Transport.LONG_POLL: self._long_poll, Transport.POLL: self._poll}
        while True:
            self._ladder.climb(self._clock())
            transport = self._ladder.transport
            try:
                async with aclosing(ways[transport]()) as jobs:
                    async for job in jobs:
                        if job.version > self._version:
                            self._version = job.version
                            yield job
                            if job.ended:
                                return
            except _Failed as failed:
                await self._pause(transport, failed)

    async def _pause(self, transport: Transport, failed: _Failed) -> None:
        if failed.trouble is not Trouble.BARRED and self._steady():
            self._ladder.worked()
        pause = self._ladder.failed(failed.trouble, self._clock(), at_least=failed.at_least)
        self._connected = None
        self._notify(Notice(transport, str(failed), pause))
        await self._sleep(pause)

    def _works(self) -> None:
        transport = self._ladder.transport
        if self._connected is not transport:
            self._connected, self._since = transport, self._clock()
            self._notify(Notice(transport))

    def _steady(self) -> bool:
        return self._connected is not None and self._clock() - self._since >= STEADY_SECONDS

    async def _events(self) -> AsyncGenerator[Job, None]:
        """Yield states from one server-sent events connection."""
        parser, over = EventParser(), False
        async with AsyncExitStack() as stack:
            pieces = await self._open(stack)
            text = await self._next(pieces, seconds=min(FIRST_BYTES_SECONDS, self._timeout))
            while text is not None and not over:
                self._works()
                for event in parser.feed(text):
                    over = over or event.type == END_ID
                    if event.type == "job":
                        yield self._decode(event.data.encode())
                    elif event.type == "token-expiring" and await self._renew_token():
                        raise _Failed(
                            Trouble.OVER,
                            "the token is about to expire",
                            at_least=0.0 if self._steady() else STEADY_SECONDS,
                        )
                text = None if over else await self._next(pieces)
        if over:
            async for job in self._settle():
                yield job
        trouble = Trouble.OVER if self._steady() else Trouble.BROKEN  # closed early several times in a row: fall back
        raise _Failed(trouble, "the server closed the stream", at_least=parser.retry)

    async def _open(self, stack: AsyncExitStack) -> AsyncGenerator[str, None]:
        """Open the stream and return its text, in pieces as they arrive."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._version:
            headers["Last-Event-ID"] = str(self._version)
        request = Request(
            method="GET", path=f"{self._path}/events", headers=headers, silence=HEARTBEATS * self._heartbeat
        )
        try:
            async with asyncio.timeout(min(FIRST_BYTES_SECONDS, self._timeout)):
                response = await stack.enter_async_context(self._connection.stream(request))
        except TimeoutError:
            raise _Failed(Trouble.BARRED, "no data arrives on the stream") from None
        except ClientError as error:
            raise self._failed(error, streaming=True) from error
        if response.status_code == 204:
            return _ended()
        if response.headers.get("content-type", "").partition(";")[0].strip().lower() != "text/event-stream":
            raise _Failed(Trouble.BARRED, "the response is not an event stream")
        pieces = cast("AsyncGenerator[str, None]", response.aiter_text())  # httpx declares less
        stack.push_async_callback(pieces.aclose)
        return pieces

    async def _next(self, pieces: AsyncGenerator[str, None], *, seconds: float | None = None) -> str | None:
        """Return the next piece, or None at the end of the stream. Raises _Failed when no heartbeat arrives in time."""
        try:
            async with asyncio.timeout(seconds):
                return await anext(pieces, None)
        except (httpx.ReadTimeout, TimeoutError):
            raise _Failed(Trouble.BARRED, "the stream is silent") from None
        except httpx.HTTPError as error:
            raise _Failed(Trouble.BROKEN, f"the stream broke ({type(error).__name__})") from error

    async def _renew_token(self) -> bool:
        """Return whether a new token was obtained. Without one the stream continues until the server ends it."""
        token = self._connection.token
        try:
            return await token.renewed(await token.current()) is not None
        except Unreachable:
            return False

    async def _settle(self) -> AsyncGenerator[Job, None]:
        """Read the terminal state after the server signalled the end of the job."""
        response = await self._read(Request(method="GET", path=self._path, silence=self._timeout), self._timeout)
        yield self._decode(response.content)

    async def _long_poll(self) -> AsyncGenerator[Job, None]:
        """Long-poll: the server holds each request until there is a newer version."""
        while not self._may_climb():
            asked = self._clock()
            request = Request(
                method="GET",
                path=self._path,
                params={"wait": WAIT_SECONDS, "version": self._version},
                silence=WAIT_SECONDS + self._timeout,
            )
            response = await self._read(request, WAIT_SECONDS + self._timeout)
            job = self._decode(response.content)
            if job.version <= self._version and self._clock() - asked < HASTY_SECONDS:
                raise _Failed(Trouble.BROKEN, "long polls return at once", at_least=POLL_SECONDS)
            self._worked()
            yield job

    async def _poll(self) -> AsyncGenerator[Job, None]:
        """Poll every 3 s."""
        while not self._may_climb():
            headers = {"If-None-Match": f'"{self._version}"'} if self._version else {}
            request = Request(method="GET", path=self._path, headers=headers, silence=self._timeout)
            response = await self._read(request, self._timeout)
            job = None if response.status_code == 304 else self._decode(response.content)
            self._worked()
            if job is not None:
                yield job
            await self._sleep(POLL_SECONDS)

    def _worked(self) -> None:
        self._ladder.worked()
        self._works()

    def _may_climb(self) -> bool:
        self._ladder.climb(self._clock())
        return self._ladder.transport is Transport.SSE

    async def _read(self, request: Request, seconds: float) -> httpx.Response:
        try:
            return await within(seconds, self._connection.ask(request), self._connection.url)
        except ClientError as error:
            raise self._failed(error, streaming=False) from error

    def _decode(self, body: bytes) -> Job:
        try:
            job = decode_job(body)
        except (ValueError, RecursionError) as error:
            strange = UnexpectedAnswer(f"{self._connection.url} answered with something that is not a job: {error}.")
            raise self._failed(strange, streaming=False) from error
        self._met = True
        return job

    def _failed(self, error: ClientError, *, streaming: bool) -> Exception:
        self._met = self._met or isinstance(error, NotFound)
        found = trouble_of(error, streaming=streaming, met=self._met)
        return error if found is None else _Failed(found[0], str(error), at_least=found[1])


_REACHED = {"unreachable": Trouble.AWAY, "token_failed": Trouble.AWAY, "silent": Trouble.BARRED}


def trouble_of(error: ClientError, *, streaming: bool, met: bool) -> tuple[Trouble, float] | None:
    """Return how an error affects the transport, and the minimum pause; None when a retry cannot help.

    `met` = Hookcast has answered before, so a foreign response comes from a proxy and is temporary.
    """
    if isinstance(error, NotFound):  # not known yet
        return Trouble.OVER, POLL_SECONDS
    if isinstance(error, Unavailable):
        full = error.code in {"too_many_streams", "too_many_streams_of_client"}
        return Trouble.BARRED if full else Trouble.BROKEN, error.retry_after
    if isinstance(error, Unreachable):
        return _REACHED.get(error.code, Trouble.BROKEN), 0.0
    if (
        isinstance(error, AccessRefused) and error.code == "not_hookcast" and met
    ):  # not a problem of Hookcast's: a firewall's response
        return Trouble.BROKEN, POLL_SECONDS
    strange = isinstance(error, UnexpectedAnswer)
    if streaming and strange:
        return Trouble.BARRED, 0.0
    return (Trouble.BROKEN, POLL_SECONDS) if error.status >= 500 or (strange and met) else None


async def _ended() -> AsyncGenerator[str, None]:
    """Yield the end event that a 204 stands for."""
    yield SSE_END.decode()
