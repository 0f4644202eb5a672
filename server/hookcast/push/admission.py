"""Admission control: which streams may open on this node, and how it drains them."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from hookcast.errors import Draining, HookcastError, TooManyStreams
from hookcast.push.holders import Holders
from hookcast.push.wheel import Looked

LONG_POLL = "long_poll"
BY_CLIENT = "client"  # why a stream closes that the server does not close


class Drainable(Protocol):
    """An open stream or wait that ends when the node drains."""

    def drain(self) -> None:
        """Send the client a reconnect delay where the protocol has one, then close. Must neither block nor raise."""


class OpenStream(Drainable, Looked, Protocol):
    """An admitted connection."""

    kind: str
    """`sse` or `websocket`."""

    def discard(self) -> None:
        """Abort the connection, if any, and release everything the stream holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one node, times in seconds.

    A stream rotates after a random 80 to 100 % of `lifetime`; a drain spreads reconnects over `drain`.
    """

    heartbeat: float = 15.0
    lifetime: float = 3600.0
    drain: float = 10.0
    max_streams: int = 1_000_000
    max_streams_per_address: int = 1000
    max_streams_per_token: int = 1000


@dataclass(slots=True)
class Counts:
    """Counters since the start, as plain numbers so that counting costs nothing.

    `opened` and `closed` count streams and long polls by kind, `refused` counts refused ones by error code, `slow`
    counts streams closed as slow readers.
    """

    opened: Counter[str] = field(default_factory=Counter)
    closed: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    slow: int = 0


class Admission:
    """Counts open streams against the limits. `drain` may be called before, while or after the node runs."""

    def __init__(self, limits: Limits | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits or Limits()
        self.clock = clock
        self.draining = False
        self.counts = Counts()
        self.streams: dict[OpenStream, tuple[str, ...]] = {}  # stream → its holders
        self.farewells: dict[OpenStream, Callable[[str], None]] = {}  # whom to tell why a stream closes, once
        self.holders = Holders(
            {"address": self.limits.max_streams_per_address, "token": self.limits.max_streams_per_token}
        )
        self.waits: set[Drainable] = set()  # not streams, but drained too
        self.polls = 0  # long polls: each takes the place of a stream

    def check(self, holders: Sequence[str] = ()) -> None:
        """Raise Draining, TooManyStreams or TooManyStreamsOfClient if no further stream may open."""
        try:
            self._check_room(holders)
        except HookcastError as error:
            self.counts.refused[error.code] += 1
            raise

    def _check_room(self, holders: Sequence[str]) -> None:
        if self.draining:
            raise Draining("The server is restarting; connect again in a moment.")
        if len(self.streams) + self.polls >= self.limits.max_streams:
            raise TooManyStreams(
                f"This server has reached its limit of {self.limits.max_streams} streams; try again later."
            )
        self.holders.check(holders)

    @contextmanager
    def opening(self, stream: OpenStream, holders: tuple[str, ...] = ()) -> Iterator[None]:
        """Reserve a place for the stream; discard the stream if the block raises. Raises what `check` raises.

        The place counts from here on, so that concurrent connects cannot exceed the limits. The stream counts for each
        of its `holders` (`push.holders`).
        """
        self.check(holders)
        self.holders.enter(holders)
        self.streams[stream] = holders
        try:
            yield
        except BaseException:
            stream.discard()
            raise

    def hold(self, stream: OpenStream, holder: str) -> None:
        """Replace the stream's holder of the same kind. Raises TooManyStreamsOfClient."""
        before = self.streams.get(stream)
        if before is None or holder in before:
            return
        self.holders.check((holder,))
        kind = holder.partition(":")[0]
        after = (*(name for name in before if name.partition(":")[0] != kind), holder)
        self.holders.leave(before)
        self.holders.enter(after)
        self.streams[stream] = after

    def opened(self, stream: OpenStream) -> None:
        """Count a stream that has its connection."""
        self.counts.opened[stream.kind] += 1

    def closed(self, stream: OpenStream, *, opened: bool) -> None:
        """Release the stream's place, and count it if it had `opened`. Idempotent."""
        holders = self.streams.pop(stream, None)
        if holders is not None:
            self.holders.leave(holders)
            self.counts.closed[stream.kind] += opened
            self.ends(stream, BY_CLIENT)

    def ends(self, stream: OpenStream, why: str) -> None:
        """Tell why a stream closes: the first reason counts."""
        if self.farewells:
            farewell = self.farewells.pop(stream, None)
            if farewell is not None:
                farewell(why)

    @contextmanager
    def waiting(self, wait: Drainable) -> Iterator[None]:
        """Drain `wait` if the node drains during the block, or at once if it is draining already."""
        if self.draining:
            wait.drain()
        self.waits.add(wait)
        try:
            yield
        finally:
            self.waits.discard(wait)

    @contextmanager
    def polling(self, poll: Drainable, holders: tuple[str, ...] = ()) -> Iterator[None]:
        """Reserve a place for a long poll. Raises what `check` raises, but a node that drains answers it at once."""
        if not self.draining:
            self.check(holders)
        self.polls += 1
        self.holders.enter(holders)
        self.counts.opened[LONG_POLL] += 1
        try:
            with self.waiting(poll):
                yield
        finally:
            self.polls -= 1
            self.holders.leave(holders)
            self.counts.closed[LONG_POLL] += 1

    def drain(self) -> None:
        """Drain every open stream and wait, and refuse new streams."""
        self.draining = True
        for stream in tuple(self.streams):
            stream.drain()
        for wait in self.waits:
            wait.drain()
