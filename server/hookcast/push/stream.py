"""A stream that owns no task: the hub pushes, the transport buffers, the engine's timer looks after it.

`Stream` is what SSE (`push.events`) and WebSocket (`push.socket`) have in common: an asyncio protocol that a server's
transport is handed over to, and that gets on with anything that writes like one.
"""

import asyncio
import math
import random
from collections.abc import Callable, Sequence
from enum import Enum, auto

from hookcast.auth import EVERYBODY, Caller
from hookcast.push.direct import DirectSocket, bound, open_direct
from hookcast.push.engine import Engine
from hookcast.push.wheel import Looked
from hookcast.wire import State

UNSENT_JOBS = 1000
SLOW_SECONDS = 30.0
CLOSE_SECONDS = 5.0
WARNING_SECONDS = 30.0  # before a token expires


class Mode(Enum):
    """What becomes of a state that is pushed to a stream."""

    OPENING = auto()
    """It waits: the stream has not begun."""
    LIVE = auto()
    """It is written at once."""
    BEHIND = auto()
    """It waits, in place of an older one of its job: the reader has not taken what was written."""
    CLOSING = auto()
    """It is dropped."""


_NOTHING: dict[str, State] = {}  # what waits for all streams that are live or closing


class Stream(asyncio.Protocol):
    """One connection and its topics.

    `_waiting` holds the newest state of each job while the stream is opening or behind; `_room` is how many jobs may
    wait. `_behind_since` is infinite unless the transport holds more than it may. `caller` is None when the stream may
    show everything that it watches. Times are those of the engine's clock.
    """

    __slots__ = (
        "_behind_since",
        "_direct",
        "_ends_at",
        "_expires_at",
        "_mode",
        "_room",
        "_sent_at",
        "_waiting",
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
        self._mode = Mode.OPENING
        self._waiting: dict[str, State] = {}
        self._behind_since = math.inf
        self._direct: DirectSocket | None = None
        self._room = UNSENT_JOBS
        self._sent_at = self._ends_at = 0.0

    def identify(self, caller: Caller) -> None:
        """From now on the stream shows what this caller may see, as long as it may."""
        self.caller = None if caller.full else caller
        self._expires_at = self._warn_at = math.inf
        if caller.expires_at is not None:
            self._expires_at = self.engine.clock() + caller.expires_at - self.engine.gate.clock()
            self._warn_at = self._expires_at - WARNING_SECONDS

    def shows(self, state: State) -> bool:
        """Whether the stream's caller may see this job."""
        return self.caller is None or self.caller.sees(state.request_id, state.owner, state.group)

    def open(self, transport: asyncio.Transport, head: bytes) -> None:
        """Go live: write `head`, the states that wait, and from now on everything that is pushed."""
        self.transport = transport
        bound(transport)
        self._direct = open_direct(transport)
        now = self.engine.clock()
        self._sent_at = now
        self._ends_at = now + self.lifetime()
        if head:
            transport.write(head)
        if self._behind_since == math.inf:
            self.catch_up()
        else:
            self._mode = Mode.BEHIND
            self.engine.wheel.put(self, self._next_look())
        if self.engine.admission.draining:
            self.drain()

    def lifetime(self) -> float:
        """For how long, in seconds; not the same for all, so that they do not come back together."""
        return self.engine.limits.lifetime * random.uniform(0.8, 1.0)  # noqa: S311

    def push(self, state: State, now: float, *, ended: bool) -> None:
        """The hub's way in."""
        raise NotImplementedError

    def write(self, frame: bytes) -> None:
        """Send a frame, straight to the kernel if that is possible; only while the stream is live."""
        rest = frame if self._direct is None else self._direct.write(frame)
        if rest:
            self.transport.write(rest)  # type: ignore[union-attr]

    def ping(self) -> bytes:
        """What breaks a silence."""
        raise NotImplementedError

    def leave(self) -> None:
        """Unsubscribe from everything."""
        raise NotImplementedError

    def drain(self) -> None:
        """Tell the client when to come back, then close."""
        raise NotImplementedError

    def rotate(self) -> None:
        """The lifetime is over: the same, for the client to come back to any node."""
        raise NotImplementedError

    def refuse_slow(self) -> None:
        """Close on a reader that could not keep up."""
        self.engine.admission.counts.slow += self._mode is not Mode.CLOSING

    def expiring(self) -> bytes:
        """What tells the client that its token is about to expire."""
        raise NotImplementedError

    def expire(self) -> None:
        """The token's time is over: close, whatever else was possible without one."""
        raise NotImplementedError

    def settled(self) -> None:
        """What waited has been written, or waits again."""

    def shutdown(self) -> None:
        """The server's call when it ends."""
        self.drain()

    def keep(self, state: State) -> None:
        """Let the state wait; it replaces an older one of its job."""
        if self._mode is Mode.LIVE or self._mode is Mode.CLOSING:
            return
        waiting = self._waiting
        older = waiting.get(state.request_id)
        if older is None and len(waiting) >= self._room and self.transport is not None:
            self.refuse_slow()
        elif older is None or older.version < state.version:
            waiting[state.request_id] = state

    def make_room(self, states: Sequence[State]) -> None:
        """What a subscription begins with may wait as a whole: it is no news that piled up."""
        self._room = max(self._room, UNSENT_JOBS + len(states))

    def pause_writing(self) -> None:
        """The transport holds more than it may: the reader is behind."""
        if self._behind_since != math.inf or self._mode is Mode.CLOSING:
            return
        self._behind_since = self.engine.clock()
        if self._mode is Mode.LIVE:
            self._mode, self._waiting = Mode.BEHIND, {}
        if self.transport is not None:
            self.engine.wheel.put(self, self._next_look())

    def resume_writing(self) -> None:
        """The reader has caught up."""
        self._behind_since = math.inf
        # Later, since catching up may close, and asyncio's own transports break when that happens in this very call.
        asyncio.get_running_loop().call_soon(self.catch_up)

    def catch_up(self) -> None:
        """Write the newest states, and go on."""
        if self._mode is Mode.CLOSING or self.transport is None or self._behind_since != math.inf:
            return
        self._mode = Mode.LIVE
        waiting, self._waiting = self._waiting, _NOTHING
        now = self._sent_at = self.engine.clock()
        for state in waiting.values():  # those for which there is no room yet wait again
            self.push(state, now, ended=False)
        self.settled()
        if self._mode is not Mode.CLOSING:
            self.engine.wheel.put(self, self._next_look())

    def look(self, now: float) -> float | None:
        """The timer's call: do what is due."""
        transport = self.transport
        if transport is None:
            return None
        if self._mode is Mode.CLOSING:
            transport.abort()
            return None
        end = self._due_end(now)
        if end is not None:
            end()
            return now + CLOSE_SECONDS
        if now >= self._warn_at:
            self._warn_at = math.inf
            transport.write(self.expiring())
        if self._behind_since == math.inf and now - self._sent_at >= self.engine.limits.heartbeat / 2:
            self._sent_at = now
            transport.write(self.ping())
        return self._next_look()

    def _due_end(self, now: float) -> Callable[[], None] | None:
        if now >= self._expires_at:
            return self.expire
        if now >= self._ends_at:
            return self.rotate
        if now - self._behind_since >= SLOW_SECONDS:
            return self.refuse_slow
        return None

    def end(self, farewell: bytes, *, wait: bool = False) -> None:
        """Write the last bytes and close, or `wait` for the client to do so. A client that hangs is cut off later."""
        if self._mode is Mode.CLOSING or self.transport is None:
            return
        self._mode, self._waiting = Mode.CLOSING, _NOTHING
        self.leave()
        if farewell:
            self.transport.write(farewell)
        if not wait:
            self.transport.close()
        self.engine.wheel.put(self, self.engine.clock() + CLOSE_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Release everything the stream holds. Work of the stream that is still under way writes nothing any more."""
        direct, self._direct = self._direct, None
        if direct is not None:
            direct.detach()
        self._mode, self._waiting = Mode.CLOSING, _NOTHING
        self.leave()
        self.engine.admission.closed(self)
        self.engine.asking.forget(self)
        self.engine.wheel.drop(self)
        self.transport = None
        if self.connections is not None:
            self.connections.discard(self)

    def discard(self) -> None:
        """Cut the connection, if there is one, and let go of everything."""
        if self.transport is not None:
            self.transport.abort()
        self.connection_lost(None)

    def retry_ms(self) -> int:
        """When to come back: spread over the drain window, so that the next node is not stormed."""
        return round(random.uniform(0.5, max(self.engine.limits.drain, 1.0)) * 1000)  # noqa: S311

    def _next_look(self) -> float:
        """Before the silence is too long. Not all at the same moment: a fan-out makes all streams equally silent."""
        due = self._sent_at + self.engine.limits.heartbeat * random.uniform(0.55, 0.95)  # noqa: S311
        if self._behind_since != math.inf:
            due = self._behind_since + SLOW_SECONDS
        return min(due, self._ends_at, self._expires_at, self._warn_at)
