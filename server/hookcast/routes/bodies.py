"""Read request bodies within limits of size, time, and memory of the whole node.

A body that has not arrived in one piece reserves its size before more of it is read. While others wait for room, a body
that arrives slowly is refused, so that senders as fast as a server get room.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from hookcast.errors import BodyTimeout, BodyTooLarge, Busy
from hookcast.routes.numbers import digits

SMALL = 64 * 1024  # bytes that arrive with the head, about: the server and the kernel buffer as much anyway
SPARE = 16 * 1024 * 1024  # room in addition to one body of the largest size
SPARE_OF_SMALL = 8 * 1024 * 1024  # room that only small bodies may use
WAIT_SECONDS = 5.0  # for room
MAX_WAITING = 200
LOOK_SECONDS = 0.25
TRIAL_SECONDS = 2.0  # until a body's speed counts
FAST = 1024 * 1024  # bytes/s; slower bodies are refused while others wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The required pace of a body: `seconds`, plus one for each `rate` bytes, with no pause of `silence` seconds."""

    seconds: float
    rate: int
    silence: float


CALLERS = Pace(seconds=30.0, rate=16 * 1024, silence=30.0)
STRANGERS = Pace(seconds=10.0, rate=256 * 1024, silence=5.0)  # fal gives up an attempt after 15 s, later ones 120 s


class Bodies:
    """The bodies being received on one node, of at most `limit` bytes each."""

    def __init__(self, limit: int, pace: Pace) -> None:
        self.limit = limit
        self.pace = pace
        self.reserved = 0
        self._room = limit + SPARE
        self._shares: dict[Share, None] = {}
        self._waiting = 0
        self._looked_at = 0.0
        self._freed = asyncio.Event()

    def share(self) -> "Share":
        """Return one request's share, with which it reads its body: `with bodies.share() as share`."""
        return Share(self)

    async def take(self, share: "Share", size: int) -> None:
        """Reserve `size` bytes. Raises Busy when there is no room for them within `WAIT_SECONDS`."""
        if not self._fits(size):
            await self._room_for(size)
        self._shares[share] = None
        self.reserved += size

    def give(self, share: "Share", size: int) -> None:
        """Release all that the share has reserved."""
        del self._shares[share]
        self.release(size)

    def release(self, size: int) -> None:
        """Let others have `size` bytes."""
        self.reserved -= size
        self._freed.set()

    def _fits(self, size: int) -> bool:
        return self.reserved + size <= self._room + (SPARE_OF_SMALL if size <= SMALL else 0)

    def _look(self, now: float) -> None:
        """Refuse slow bodies: one check every `LOOK_SECONDS`, however many requests wait."""
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            for share in self._shares:
                share.give_way(now)

    async def _room_for(self, size: int) -> None:
        if self._waiting >= MAX_WAITING:
            raise _busy()
        clock = asyncio.get_running_loop().time
        until = clock() + WAIT_SECONDS
        self._waiting += 1
        try:
            while not self._fits(size):
                if clock() >= until:
                    raise _busy()
                self._look(clock())
                self._freed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._freed.wait()
        finally:
            self._waiting -= 1


class Share:
    """One request's part of the node's memory for bodies, released at the end of its block."""

    __slots__ = ("_began", "_bodies", "_deadline", "_received", "_size", "_yielded")

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self._size = self._received = 0
        self._began = 0.0
        self._yielded = False
        self._deadline: asyncio.Timeout | None = None

    def __enter__(self) -> "Share":
        return self

    def __exit__(self, *_: object) -> None:
        if self._size:
            self._bodies.give(self, self._size)
            self._size = 0

    async def read(self, request: Request, limit: int | None = None) -> bytes:
        """Return the raw body of at most `limit` bytes. Raises BodyTooLarge, BodyTimeout and Busy."""
        most = self._bodies.limit if limit is None else limit
        announced = length_of(request.headers)
        if announced is not None and announced > most:
            raise BodyTooLarge(f"The body has {announced} bytes; at most {most} are accepted.")
        size = SMALL if announced is None else announced
        if size > SMALL:
            await self._reserve(size)  # before `100 Continue` is sent, and before more is read than the buffers hold
        clock = asyncio.get_running_loop().time
        self._began = clock()
        try:
            async with asyncio.timeout_at(self._began + self._bodies.pace.silence) as deadline:
                self._deadline = deadline
                message = await request.receive()
                if message["type"] == "http.request" and not message.get("more_body", False):
                    return _within(message.get("body", b""), most)
                if not self._size:
                    await self._reserve(size or 1)
                return await self._rest(request, message, most)
        except TimeoutError:
            raise self._why_late() from None
        finally:
            self._deadline = None

    async def _rest(self, request: Request, message: Mapping[str, Any], most: int) -> bytes:
        """Return the body that begins with `message`; each further message extends the deadline."""
        clock, pace, body = asyncio.get_running_loop().time, self._bodies.pace, bytearray()
        while message["type"] == "http.request":
            body += _within(message.get("body", b""), most, len(body))
            if not message.get("more_body", False):
                return self._measured(bytes(body))
            self._received = len(body)
            if len(body) > self._size:  # its length was not announced
                await self._reserve(most - self._size)
            if self._deadline is None:
                raise self._why_late()
            due = self._began + pace.seconds + len(body) / pace.rate
            self._deadline.reschedule(min(clock() + pace.silence, due))
            message = await request.receive()
        raise BodyTimeout("The connection closed before the body had arrived.")

    def _measured(self, body: bytes) -> bytes:
        """Keep no more room than the body takes: its length may not have been announced."""
        size = max(len(body), 1)
        self._bodies.release(self._size - size)
        self._size = size
        return body

    async def _reserve(self, size: int) -> None:
        """Reserve `size` more bytes; the time until there is room does not count as the client's."""
        clock, deadline = asyncio.get_running_loop().time, self._deadline
        waits = clock()
        self._deadline = None
        if deadline is not None:
            deadline.reschedule(None)
        await self._bodies.take(self, size)
        self._size += size
        self._began += clock() - waits
        if not self._yielded:
            self._deadline = deadline

    def give_way(self, now: float) -> None:
        """End the reading of a body that has been slow so far; the reader raises Busy."""
        age = now - self._began
        if self._deadline is not None and age > TRIAL_SECONDS and self._received < age * FAST:
            self._deadline.reschedule(now)
            self._deadline, self._yielded = None, True

    def _why_late(self) -> BodyTimeout | Busy:
        pace = self._bodies.pace
        if self._yielded:
            return _busy()
        return BodyTimeout(
            f"A body must arrive without pauses of {pace.silence:g} s, and within {pace.seconds:g} s plus 1 s per "
            f"{pace.rate // 1024} KiB."
        )


def length_of(headers: Mapping[str, str]) -> int | None:
    """Return the announced length of a body, 0 without one; None if only its end tells (RFC 9112 section 6.3)."""
    text = headers.get("content-length")
    if text is None:
        return None if "transfer-encoding" in headers else 0
    return digits(text)


def _within(part: bytes, most: int, before: int = 0) -> bytes:
    if before + len(part) > most:
        raise BodyTooLarge(f"The body has more than {most} bytes.")
    return part


def _busy() -> Busy:
    return Busy("The server is receiving more bodies than it has memory for; send the request again.")
