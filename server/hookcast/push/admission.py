"""Which streams may open on this node, which are open, and how all of them end."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from hookcast.errors import Draining, HookcastError, TooManyStreams
from hookcast.push.holders import Holders
from hookcast.push.wheel import Looked


class Drainable(Protocol):
    """Something open that can be told to end."""

    def drain(self) -> None:
        """Tell the client when to come back, then close. May neither block nor raise."""


class OpenStream(Drainable, Looked, Protocol):
    """A connection that was admitted."""

    kind: str
    """`sse` or `websocket`."""

    def discard(self) -> None:
        """Cut the connection, if there is one, and release everything it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Times in seconds. A stream ends after 80 to 100 % of `lifetime`; reconnects are spread over `drain`."""

    heartbeat: float = 15.0
    lifetime: float = 3600.0
    drain: float = 10.0
    max_streams: int = 1_000_000
    max_streams_per_address: int = 1000
    max_streams_per_token: int = 1000


@dataclass(slots=True)
class Counts:
    """Plain numbers since the start, so that counting costs nothing.

    `opened` and `closed` are streams by kind, `refused` are streams without a place by the error's code, `slow` are
    streams closed for not keeping up.
    """

    opened: Counter[str] = field(default_factory=Counter)
    closed: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    slow: int = 0


class Admission:
    """Counts streams against the limits. It can be drained before, while and after the node runs."""

    def __init__(self, limits: Limits | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits or Limits()
        self.clock = clock
        self.draining = False
        self.counts = Counts()
        self.streams: dict[OpenStream, tuple[str, ...]] = {}  # each with its holders
        self.holders = Holders(
            {"address": self.limits.max_streams_per_address, "token": self.limits.max_streams_per_token}
        )
        self.waits: set[Drainable] = set()  # what is no stream, and ends with the node all the same

    def check(self, holders: Sequence[str] = ()) -> None:
        """Raise Draining, TooManyStreams or TooManyStreamsOfClient when no further stream may open."""
        try:
            self._check_room(holders)
        except HookcastError as error:
            self.counts.refused[error.code] += 1
            raise

    def _check_room(self, holders: Sequence[str]) -> None:
        if self.draining:
            raise Draining("The server is restarting; connect again in a moment.")
        if len(self.streams) >= self.limits.max_streams:
            raise TooManyStreams(f"This server has its {self.limits.max_streams} streams; try another one, or later.")
        self.holders.check(holders)

    @contextmanager
    def opening(self, stream: OpenStream, holders: tuple[str, ...] = ()) -> Iterator[None]:
        """Hold a place for the stream, and discard the stream when the block fails. Raises what `check` raises.

        The place counts from here on: of many that connect at once no more get in than there is room for. `holders`
        are whose stream it is (`push.holders`).
        """
        self.check(holders)
        self.holders.enter(holders)
        self.streams[stream] = holders
        self.counts.opened[stream.kind] += 1
        try:
            yield
        except BaseException:
            stream.discard()
            raise

    def hold(self, stream: OpenStream, holder: str) -> None:
        """Give the stream a new holder in place of the one of the same kind. Raises TooManyStreamsOfClient."""
        before = self.streams.get(stream)
        if before is None or holder in before:
            return
        self.holders.check((holder,))
        kind = holder.partition(":")[0]
        after = (*(name for name in before if name.partition(":")[0] != kind), holder)
        self.holders.leave(before)
        self.holders.enter(after)
        self.streams[stream] = after

    def closed(self, stream: OpenStream) -> None:
        """Give the place back. Idempotent."""
        holders = self.streams.pop(stream, None)
        if holders is not None:
            self.holders.leave(holders)
            self.counts.closed[stream.kind] += 1

    @contextmanager
    def waiting(self, wait: Drainable) -> Iterator[None]:
        """End `wait`, too, when the node drains during the block."""
        if self.draining:
            wait.drain()
        self.waits.add(wait)
        try:
            yield
        finally:
            self.waits.discard(wait)

    def drain(self) -> None:
        """End everything that is open, and refuse what comes."""
        self.draining = True
        for stream in tuple(self.streams):
            stream.drain()
        for wait in self.waits:
            wait.drain()
