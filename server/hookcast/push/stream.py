"""A stream that owns no task: the hub pushes, the transport buffers, the engine's timer enforces deadlines.

`Stream` is the base of SSE (`push.sse`) and WebSocket (`push.websocket`): an asyncio protocol that takes over a
server's transport, and works with any object that writes like one.
"""

import asyncio
import contextlib
import math
import random
from collections.abc import Callable, Iterable, Sequence
from enum import Enum, auto

from hookcast.auth import EVERYBODY, Caller
from hookcast.journal import Event
from hookcast.push.direct import DirectSocket, open_direct
from hookcast.push.engine import Engine
from hookcast.push.wheel import Looked
from hookcast.wire import State

PIECE_BYTES = 16 * 1024  # of a large frame in a transport's buffer
WHOLE_FRAMES = "hookcast.whole_frames"  # extra information of a transport that does not accept parts of frames
SLOW_SECONDS = 30.0
CLOSE_SECONDS = 5.0
WARNING_SECONDS = 30.0  # before a token expires


class Mode(Enum):
    """A stream's handling of a state pushed to it."""

    OPENING = auto()
    """Note it: the stream has not begun."""
    LIVE = auto()
    """Write it at once."""
    BEHIND = auto()
    """Note it in place of an older state of its job: the reader has not taken what is before it."""
    CLOSING = auto()
    """Drop it."""


OPENING, LIVE, BEHIND, CLOSING = Mode  # read once for each state: a global is faster than an enum's attribute


class Stream(asyncio.Protocol):
    """One connection and its topics.

    `_behind_since` is infinite unless the transport exceeds its write limit. `caller` is None if the stream may show
    everything it watches. Times are those of the engine's clock.
    """

    __slots__ = (
        "_behind_since",
        "_direct",
        "_ends_at",
        "_expires_at",
        "_mode",
        "_sent_at",
        "_warn_at",
        "bucket",
        "caller",
        "connections",
        "engine",
        "transport",
    )
    active = True
    kind: str

    def __init__(self, engine: Engine, caller: Caller = EVERYBODY) -> None:
        self.engine = engine
        self.identify(caller)
        self.connections: set[object] | None = None
        self.transport: asyncio.Transport | None = None
        self.bucket: dict[Looked, None] | None = None
        self._mode = OPENING
        self._behind_since = math.inf
        self._direct: DirectSocket | None = None
        self._sent_at = self._ends_at = 0.0

    def identify(self, caller: Caller) -> None:
        """Show what this caller may see from now on, until its token expires."""
        self.caller = None if caller.full else caller
        self._expires_at = self._warn_at = math.inf
        if caller.expires_at is not None:
            self._expires_at = self.engine.clock() + caller.expires_at - self.engine.gate.clock()
            self._warn_at = self._expires_at - WARNING_SECONDS

    def shows(self, state: State) -> bool:
        """Return whether the stream's caller may see this job."""
        return self.caller is None or self.caller.sees(state.request_id, state.owner, state.group)

    def open(self, transport: asyncio.Transport, head: bytes) -> None:
        """Write `head` and the states pushed since, and go live once the reader has taken them."""
        self.transport = transport
        self.engine.admission.opened(self)
        self._direct = open_direct(transport)
        now = self.engine.clock()
        self._sent_at = now
        self._ends_at = now + self.lifetime()
        if head:
            transport.write(head)
        if self._behind_since == math.inf:
            self.catch_up()
        else:
            self._mode = BEHIND
            self.engine.wheel.put(self, self._next_look())
        if self.engine.admission.draining:
            self.drain()

    def lifetime(self) -> float:
        """Return the lifetime in seconds, randomized so that streams do not reconnect all at once."""
        return self.engine.limits.lifetime * random.uniform(0.8, 1.0)  # noqa: S311

    def push(self, state: State, now: float, *, ended: bool) -> None:
        """Receive a state from the hub."""
        raise NotImplementedError

    def push_many(self, states: Sequence[State], now: float, *, ended: bool) -> None:
        """Receive several states at once."""
        raise NotImplementedError

    def write(self, frame: bytes) -> None:
        """Send a frame, directly to the socket if possible. Call it only while the stream is live."""
        direct = self._direct
        if direct is not None:
            try:
                sent = direct.send(frame)
            except OSError:  # full or broken; the transport finds out which
                sent = 0
            if sent == len(frame):
                return
            frame = memoryview(frame)[sent:]  # type: ignore[assignment]
        self.transport.write(frame)  # type: ignore[union-attr]

    def write_some(self, data: memoryview) -> int:
        """Send the beginning of a frame, at least a byte, and return how much; `transport` buffers little of it."""
        sent = 0
        if self._direct is not None:
            with contextlib.suppress(OSError):  # full or broken; the transport finds out which
                sent = self._direct.send(data)
        transport = self.transport
        if transport is None or sent == len(data):
            return sent
        piece = bytes(data[sent:] if transport.get_extra_info(WHOLE_FRAMES) else data[sent : sent + PIECE_BYTES])
        transport.write(piece)
        return sent + len(piece)

    @property
    def midway(self) -> bool:
        """True while a frame is written in part: until the rest follows, nothing else may be."""
        return False

    def finish_frame(self) -> bool:
        """Give the transport the rest of a frame that is written in part. Return False if it is not at hand."""
        return True

    def ping(self) -> bytes:
        """Return the heartbeat to send after a silence."""
        raise NotImplementedError

    def leave(self) -> None:
        """Unsubscribe from everything."""
        raise NotImplementedError

    def drain(self) -> None:
        """Send the client a reconnect delay, then close."""
        raise NotImplementedError

    def rotate(self) -> None:
        """Close at the end of the lifetime; the client may reconnect to any node."""
        raise NotImplementedError

    def refuse_slow(self) -> None:
        """Count and close a slow reader."""
        if self._mode is not CLOSING:
            self.engine.admission.counts.slow += 1
            self.note_closed("slow")

    def expiring(self) -> bytes:
        """Return the warning that the token is about to expire."""
        raise NotImplementedError

    def expire(self) -> None:
        """Close because the token has expired, even if the stream could go on without one."""
        raise NotImplementedError

    def settled(self) -> None:
        """Run after pending states were written, or became pending again."""

    def shutdown(self) -> None:
        """Drain; the server calls this when it shuts down."""
        self.drain()

    def pause_writing(self) -> None:
        """Mark the reader as behind: the transport exceeds its write limit."""
        if self._behind_since != math.inf or self._mode is CLOSING:
            return
        self._behind_since = self.engine.clock()
        if self._mode is LIVE:
            self._mode = BEHIND
        if self.transport is not None:
            self.engine.wheel.put(self, self._next_look())

    def resume_writing(self) -> None:
        """Schedule `catch_up`: the transport accepts writes again."""
        self._behind_since = math.inf
        # Deferred: catching up may close the transport, and asyncio's transports break if closed within this call.
        asyncio.get_running_loop().call_soon(self.catch_up)

    def catch_up(self) -> None:
        """Write pending states while the reader takes them, then go live."""
        raise NotImplementedError

    def look(self, now: float) -> float | None:
        """Do what is due; the timer calls this. Return when to call it again, or None."""
        transport = self.transport
        if transport is None:
            return None
        if self._mode is CLOSING:
            transport.abort()
            return None
        end = self._due_end(now)
        if end is not None:
            end()
            return now + CLOSE_SECONDS
        if now >= self._warn_at and not self.midway:
            self._warn_at = math.inf
            transport.write(self.expiring())
        silent = now - self._sent_at >= self.engine.limits.heartbeat / 2
        if silent and self._behind_since == math.inf and not self.midway:
            self._sent_at = now
            transport.write(self.ping())
        return self._next_look()

    def watched(self) -> Iterable[str]:
        """Return the requestIds that the stream watches by name."""
        raise NotImplementedError

    def note_closed(self, reason: str) -> None:
        """Note in the journal of each job watched by name why its stream is closed."""
        for request_id in self.watched():
            self.engine.notebook.note_once(
                request_id, Event.WATCH_CLOSED, f"{self.kind} {reason}", transport=self.kind, reason=reason
            )

    def _due_end(self, now: float) -> Callable[[], None] | None:
        if now >= self._expires_at:
            return self.expire
        if now >= self._ends_at:
            return self.rotate
        if now - self._behind_since >= SLOW_SECONDS:
            return self.refuse_slow
        return None

    def end(self, farewell: bytes, *, why: str, wait: bool = False) -> None:
        """Write `farewell` and close, or `wait` for the client to close. Abort after CLOSE_SECONDS.

        `why` is for the log. In the middle of a frame that cannot be finished, `farewell` is not sent.
        """
        if self._mode is CLOSING or self.transport is None:
            return
        self._mode = CLOSING
        self.engine.admission.ends(self, why)
        self.leave()
        whole = not farewell or self.finish_frame()
        if farewell and whole:
            self.transport.write(farewell)
        if not wait or not whole:
            self.transport.close()
        self.engine.wheel.put(self, self.engine.clock() + CLOSE_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Release everything the stream holds. Tasks of the stream that still run write nothing from here on."""
        direct, self._direct = self._direct, None
        if direct is not None:
            direct.detach()
        self._mode = CLOSING
        self.leave()
        self.engine.admission.closed(self, opened=self._ends_at > 0)
        self.engine.asking.forget(self)
        self.engine.wheel.drop(self)
        self.transport = None
        if self.connections is not None:
            self.connections.discard(self)

    def discard(self) -> None:
        """Abort the connection, if any, and release everything the stream holds."""
        if self.transport is not None:
            self.transport.abort()
        self.connection_lost(None)

    def retry_ms(self) -> int:
        """Return a reconnect delay in milliseconds, spread over the drain window to avoid a reconnect storm."""
        return round(random.uniform(0.5, max(self.engine.limits.drain, 1.0)) * 1000)  # noqa: S311

    def _next_look(self) -> float:
        """Return when `look` is due. Heartbeats are randomized, since a fan-out makes all streams silent at once."""
        due = self._sent_at + self.engine.limits.heartbeat * random.uniform(0.55, 0.95)  # noqa: S311
        if self._behind_since != math.inf:
            due = self._behind_since + SLOW_SECONDS
        return min(due, self._ends_at, self._expires_at, self._warn_at)
