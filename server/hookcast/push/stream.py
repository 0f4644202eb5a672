"""A stream that owns no task: the hub pushes, the transport buffers, the engine's timer looks after it.

`Stream` is what SSE (`push.events`) and WebSocket (`push.socket`) have in common: an asyncio protocol that a server's
transport is handed over to, and that gets on with anything that writes like one.
"""

import asyncio
import contextlib
import math
import random
import socket
from collections.abc import Callable, Sequence

from hookcast.auth import EVERYBODY, Caller
from hookcast.push.engine import Engine
from hookcast.push.heartbeat import Looked
from hookcast.wire import State

# A stream's queue is the kernel's: it takes twice this, for frames and its own book-keeping (man 7 socket). What it
# does not take is the rest of one frame, in the event loop; from then on the newest state of each job waits.
KERNEL_BYTES = 128 * 1024
UNANSWERED_MS = 60_000  # a peer that confirms nothing for so long is gone (RFC 5482); pings make it show
UNSENT_JOBS = 1000
SLOW_SECONDS = 30.0
CLOSE_SECONDS = 5.0
WARNING_SECONDS = 30.0  # before a token expires


class Stream(asyncio.Protocol):
    """One connection and its topics.

    `_waiting` holds the newest state of each job while nothing may be written: before the stream has begun, while its
    reader is behind, and once it is closing. It is None while the stream is live. `_room` is how many jobs may wait.
    `caller` is None when all that it watches may be seen; `_expires_at` and `_warn_at` are times of the engine's clock.
    """

    __slots__ = (
        "_behind_since",
        "_closing",
        "_direct",
        "_ends_at",
        "_expires_at",
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
        self._waiting: dict[str, State] | None = {}
        self._behind_since: float | None = None
        self._closing = False
        self._direct: socket.SocketType | None = None
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
        _bound(transport)
        self._direct = _direct_way(transport)
        now = self.engine.clock()
        self._sent_at = now
        self._ends_at = now + self.lifetime()
        if head:
            transport.write(head)
        if self._behind_since is None:
            self.catch_up()
        else:
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
        """Send a frame, straight to the kernel if that is possible; only while the stream is live.

        The order is kept: a transport whose limit is 0 calls `pause_writing` before a write returns that leaves it
        anything unsent (asyncio documentation, "Streaming Protocols"), and then the stream is not live.

        Nobody else's connection can be met: an event loop closes a descriptor only after `connection_lost`, where it is
        let go of here, and neither can come between while this runs. What cannot be sent is left to the transport,
        which also finds out what is wrong with a connection.
        """
        direct = self._direct
        if direct is not None:
            try:
                sent = direct.send(frame)
            except OSError:  # full, or broken
                sent = 0
            if sent == len(frame):
                return
            frame = memoryview(frame)[sent:]  # type: ignore[assignment]
        self.transport.write(frame)  # type: ignore[union-attr]

    def __del__(self) -> None:
        """The descriptor is the transport's, whatever happens: never close it."""
        self._let_go()

    def _let_go(self) -> None:
        direct, self._direct = self._direct, None
        if direct is not None:
            direct.detach()

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
        self.engine.admission.counts.slow += not self._closing

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
        waiting = self._waiting
        if waiting is None or self._closing:
            return
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
        if self._behind_since is not None or self._closing:
            return
        self._behind_since = self.engine.clock()
        if self._waiting is None:
            self._waiting = {}
        if self.transport is not None:
            self.engine.wheel.put(self, self._next_look())

    def resume_writing(self) -> None:
        """The reader has caught up."""
        self._behind_since = None
        # Later, since catching up may close, and asyncio's own transports break when that happens in this very call.
        asyncio.get_running_loop().call_soon(self.catch_up)

    def catch_up(self) -> None:
        """Write the newest states, and go on."""
        if self._closing or self.transport is None or self._behind_since is not None:
            return
        waiting, self._waiting = self._waiting or {}, None
        now = self._sent_at = self.engine.clock()
        for state in waiting.values():  # those for which there is no room yet wait again
            self.push(state, now, ended=False)
        self.settled()
        if not self._closing:
            self.engine.wheel.put(self, self._next_look())

    def look(self, now: float) -> float | None:
        """The timer's call: do what is due."""
        transport = self.transport
        if transport is None:
            return None
        if self._closing:
            transport.abort()
            return None
        end = self._due_end(now)
        if end is not None:
            end()
            return now + CLOSE_SECONDS
        if now >= self._warn_at:
            self._warn_at = math.inf
            transport.write(self.expiring())
        if self._behind_since is None and now - self._sent_at >= self.engine.limits.heartbeat / 2:
            self._sent_at = now
            transport.write(self.ping())
        return self._next_look()

    def _due_end(self, now: float) -> Callable[[], None] | None:
        if now >= self._expires_at:
            return self.expire
        if now >= self._ends_at:
            return self.rotate
        if self._behind_since is not None and now - self._behind_since >= SLOW_SECONDS:
            return self.refuse_slow
        return None

    def end(self, farewell: bytes, *, wait: bool = False) -> None:
        """Write the last bytes and close, or `wait` for the client to do so. A client that hangs is cut off later."""
        if self._closing or self.transport is None:
            return
        self._closing = True
        self._waiting = {}  # whatever is still pushed in this turn goes nowhere
        self.leave()
        if farewell:
            self.transport.write(farewell)
        if not wait:
            self.transport.close()
        self.engine.wheel.put(self, self.engine.clock() + CLOSE_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Nothing of the stream stays anywhere."""
        self._let_go()
        self._closing = True
        self._waiting = {}  # work of the stream that is still under way writes nothing any more
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
        if self._behind_since is not None:
            due = self._behind_since + SLOW_SECONDS
        return min(due, self._ends_at, self._expires_at, self._warn_at)


def _bound(transport: asyncio.Transport) -> None:
    """Bound what may wait in the kernel, and for how long; hear of it as soon as it takes no more."""
    transport.set_write_buffer_limits(high=0)
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):  # some systems refuse it when the client has just gone
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED_MS)


def _direct_way(transport: asyncio.Transport) -> socket.SocketType | None:
    """A socket object on the transport's own descriptor, without owning it; None where frames need the transport.

    Measured with 5,000 streams on one core: 157k deliveries/s this way, 113k by `transport.write`.
    """
    connection = transport.get_extra_info("socket")
    if connection is None or transport.get_extra_info("sslcontext") is not None or transport.is_closing():
        return None
    return socket.SocketType(connection.family, connection.type, connection.proto, connection.fileno())
