"""Attempts to receive states of jobs: over server-sent events or what a watch falls back to, across reconnects."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from typing import cast

import httpx
from msgspec import Struct

from hookcast.client.connection import Connection, Request, within
from hookcast.client.errors import (
    AccessRefused,
    ClientError,
    NotFound,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from hookcast.client.eventstream import PING, EventParser
from hookcast.client.ladder import Ladder, Transport, Trouble
from hookcast.client.model import Job, decode_job
from hookcast.wire import END_ID, SSE_END

FIRST_BYTES_SECONDS = 10.0
STEADY_SECONDS = 5.0  # a stream open this long counts as working
HEARTBEATS = 2.5
POLL_SECONDS = 3.0

Sleep = Callable[[float], Awaitable[object]]


class Notice(Struct, frozen=True):
    """Status of a watch: the transport, the error (None = connected), and seconds to the next attempt."""

    transport: Transport
    trouble: str | None = None
    pause: float = 0.0


class Failed(Exception):
    """A failed attempt that will be retried."""

    def __init__(self, trouble: Trouble, reason: str, *, at_least: float = 0.0) -> None:
        super().__init__(reason)
        self.trouble = trouble
        self.at_least = at_least


class Manner(Struct, frozen=True, kw_only=True):
    """How to attempt: `heartbeat` and `timeout` in seconds; `notify` must not block; tests pass `sleep` and `clock`."""

    ladder: Ladder
    heartbeat: float
    timeout: float
    notify: Callable[[Notice], object]
    sleep: Sleep
    clock: Callable[[], float]


class Attempts(ABC):
    """What the watches of one job and of many have in common."""

    def __init__(self, connection: Connection, manner: Manner) -> None:
        self._connection = connection
        self._manner = manner
        self._ladder = manner.ladder
        self._timeout = manner.timeout
        self._sleep = manner.sleep
        self._clock = manner.clock
        self._notify = manner.notify
        self._met = False
        self._connected: Transport | None = None
        self._since = 0.0

    @abstractmethod
    def _stream(self) -> Request:
        """Return the request that opens the stream."""

    @abstractmethod
    def _way(self, transport: Transport) -> AsyncGenerator[Job, None]:
        """Return the states that one attempt by this transport brings."""

    def _opened(self, response: httpx.Response) -> None:  # noqa: B027 - most need nothing
        """Note that the stream has been opened."""

    def _caught_up(self) -> None:  # noqa: B027 - most need nothing
        """Note that the stream has brought everything there was."""

    async def _ended(self) -> AsyncGenerator[Job, None]:
        """Yield what is left to read after the server signalled that all jobs of the stream have ended."""
        nothing: tuple[Job, ...] = ()
        for job in nothing:
            yield job

    async def _all(self) -> AsyncGenerator[Job, None]:
        """Yield each state that arrives, new or not, until closed. Raises ClientError when a retry cannot help."""
        while True:
            self._ladder.climb(self._clock())
            transport = self._ladder.transport
            try:
                async with aclosing(self._way(transport)) as jobs:
                    async for job in jobs:
                        yield job
            except Failed as failed:
                await self._pause(transport, failed)

    async def _pause(self, transport: Transport, failed: Failed) -> None:
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
                    elif event.type == PING:
                        self._caught_up()
                    elif event.type == "token-expiring" and await self._renew_token():
                        raise Failed(
                            Trouble.OVER,
                            "the token is about to expire",
                            at_least=0.0 if self._steady() else STEADY_SECONDS,
                        )
                text = None if over else await self._next(pieces)
        if over:
            async for job in self._ended():
                yield job
        trouble = Trouble.OVER if self._steady() else Trouble.BROKEN  # closed early several times in a row: fall back
        raise Failed(trouble, "the server closed the stream", at_least=parser.retry)

    async def _open(self, stack: AsyncExitStack) -> AsyncGenerator[str, None]:
        """Open the stream and return its text, in pieces as they arrive."""
        request = self._stream()
        try:
            async with asyncio.timeout(min(FIRST_BYTES_SECONDS, self._timeout)):
                response = await stack.enter_async_context(self._connection.stream(request))
            self._connection.check_open()  # closing it does not end a connection that is being made
        except TimeoutError:
            raise Failed(Trouble.BARRED, "no data arrives on the stream") from None
        except ClientError as error:
            raise self._failed(error, streaming=True) from error
        if response.status_code == 204:
            return _over()
        if response.headers.get("content-type", "").partition(";")[0].strip().lower() != "text/event-stream":
            raise Failed(Trouble.BARRED, "the response is not an event stream")
        self._opened(response)
        pieces = cast("AsyncGenerator[str, None]", response.aiter_text())  # httpx declares less
        stack.push_async_callback(pieces.aclose)
        return pieces

    async def _next(self, pieces: AsyncGenerator[str, None], *, seconds: float | None = None) -> str | None:
        """Return the next piece, or None at the end of the stream. Raises Failed when no heartbeat arrives in time."""
        try:
            async with asyncio.timeout(seconds):
                return await anext(pieces, None)
        except (httpx.ReadTimeout, TimeoutError):
            raise Failed(Trouble.BARRED, "the stream is silent") from None
        except httpx.HTTPError as error:
            raise Failed(Trouble.BROKEN, f"the stream broke ({type(error).__name__})") from error

    async def _renew_token(self) -> bool:
        """Return whether a new token was obtained. Without one the stream continues until the server ends it."""
        token = self._connection.token
        try:
            return await token.renewed(await token.current()) is not None
        except Unreachable:
            return False

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
        return error if found is None else Failed(found[0], str(error), at_least=found[1])


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


async def _over() -> AsyncGenerator[str, None]:
    """Yield the end event that a 204 stands for."""
    yield SSE_END.decode()
