"""A stream that owns no task: the hub pushes, the transport buffers, the engine's timer looks after it.

`Stream` is what SSE and WebSocket have in common; `EventStream` is the SSE one (WHATWG HTML, section 9.2). Both are
asyncio protocols that a server's transport is handed over to, and both get on with anything that writes like one.
"""

import asyncio
import contextlib
import random
import socket
from collections.abc import Sequence

from hookcast.push.engine import Engine
from hookcast.push.heartbeat import Looked
from hookcast.push.hub import JobTopic, Names, Topic
from hookcast.wire import SSE_END, SSE_PING, State, sse_retry

# A stream's queue is the kernel's: it takes twice this, for frames and its own book-keeping (man 7 socket). What it
# does not take is the rest of one frame, in the event loop; from then on the newest state of each job waits.
KERNEL_BYTES = 128 * 1024
FIRST_BYTES = 64 * 1024  # states that leave with the head, as one write: more is not copied for each stream
UNANSWERED_MS = 60_000  # a peer that confirms nothing for so long is gone (RFC 5482); pings make it show
UNSENT_JOBS = 1000
SLOW_SECONDS = 30.0
CLOSE_SECONDS = 5.0


class Stream(asyncio.Protocol):
    """One connection and its topics.

    `_waiting` holds the newest state of each job while nothing may be written: before the stream has begun, while its
    reader is behind, and once it is closing. It is None while the stream is live. `_room` is how many jobs may wait.
    """

    __slots__ = (
        "_behind_since",
        "_closing",
        "_ends_at",
        "_room",
        "_sent_at",
        "_waiting",
        "bucket",
        "connections",
        "engine",
        "transport",
    )
    active = True

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.connections: set[object] | None = None
        self.transport: asyncio.Transport | None = None
        self.bucket: set[Looked] | None = None
        self._waiting: dict[str, State] | None = {}
        self._behind_since: float | None = None
        self._closing = False
        self._room = UNSENT_JOBS
        self._sent_at = self._ends_at = 0.0

    def open(self, transport: asyncio.Transport, head: bytes) -> None:
        """Go live: write `head`, the states that wait, and from now on everything that is pushed."""
        self.transport = transport
        _bound(transport)
        now = self.engine.clock()
        self._sent_at = now
        self._ends_at = now + self.engine.limits.lifetime * random.uniform(0.8, 1.0)  # noqa: S311
        if head:
            transport.write(head)
        if self._behind_since is None:
            self.catch_up()
        else:
            self.engine.wheel.put(self, self._next_look())
        if self.engine.draining:
            self.drain()

    def push(self, state: State, now: float, *, ended: bool) -> None:
        """The hub's way in."""
        raise NotImplementedError

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
            self.engine.wheel.put(self, self._behind_since + SLOW_SECONDS)

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
        if now >= self._ends_at:
            self.rotate()
            return now + CLOSE_SECONDS
        if self._behind_since is not None:
            if now - self._behind_since >= SLOW_SECONDS:
                self.refuse_slow()
                return now + CLOSE_SECONDS
        elif now - self._sent_at >= self.engine.limits.heartbeat / 2:
            self._sent_at = now
            transport.write(self.ping())
        return self._next_look()

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
        self._closing = True
        self._waiting = {}  # work of the stream that is still under way writes nothing any more
        self.leave()
        self.engine.closed(self)
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
        return min(due, self._ends_at)


class EventStream(Stream):
    """Server-sent events: ends with the last of its jobs, unless it watches a group."""

    __slots__ = ("_open", "_topics")

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._topics: tuple[Topic, ...] = ()
        self._open = 0

    async def join(self, names: Names) -> None:
        """Subscribe, and read what to begin with. Raises StoreUnavailable."""
        joined = await self.engine.join(self, names)
        self._topics = tuple(joined.topics)
        self.make_room(joined.states)
        for state in joined.states:
            self.keep(state)

    def begin(self, transport: asyncio.Transport, head: bytes) -> None:
        """Send `head`, the retry time and the known states, then go live."""
        self._open = sum(not (isinstance(topic, JobTopic) and topic.ended) for topic in self._topics)
        parts = [head, sse_retry(random.randint(1000, 3000))]  # noqa: S311
        waiting = self._waiting or {}
        if self._behind_since is None and sum(len(state.body) for state in waiting.values()) <= FIRST_BYTES:
            parts += [state.sse for state in waiting.values()]
            waiting.clear()
        self.open(transport, b"".join(parts))

    def push(self, state: State, now: float, *, ended: bool) -> None:
        """Write at once, or let it wait."""
        if self._waiting is None:
            self.transport.write(state.sse)  # type: ignore[union-attr]
            self._sent_at = now
        else:
            self.keep(state)
        if ended:
            self._open -= 1
            self.settled()

    def ping(self) -> bytes:
        """A comment."""
        return SSE_PING

    def leave(self) -> None:
        """Unsubscribe from everything."""
        topics, self._topics = self._topics, ()
        self.engine.leave(self, topics)

    def settled(self) -> None:
        """End with the last job, once it has been written."""
        if self._open == 0 and self._waiting is None:
            self.end(SSE_END)

    def drain(self) -> None:
        """A `retry:`, then the close."""
        self.end(sse_retry(self.retry_ms()))

    def rotate(self) -> None:
        """A `retry:`, then the close."""
        self.drain()

    def refuse_slow(self) -> None:
        """Cut the connection: whatever was written now would wait behind what is not read."""
        self.end(b"")
        if self.transport is not None:
            self.transport.abort()


def _bound(transport: asyncio.Transport) -> None:
    """Bound what may wait in the kernel, and for how long; hear of it as soon as it takes no more."""
    transport.set_write_buffer_limits(high=0)
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):  # some systems refuse it when the client has just gone
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED_MS)
