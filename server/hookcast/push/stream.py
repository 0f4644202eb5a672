"""A stream that owns no task: the hub pushes, the transport buffers, the engine's timer looks after it.

`Stream` is what SSE and WebSocket have in common; `EventStream` is the SSE one (WHATWG HTML, section 9.2). Both are
asyncio protocols that a server's transport is handed over to, and both get on with anything that writes like one.
"""

import asyncio
import random
import socket

from hookcast.push.engine import Engine, Joined
from hookcast.push.hub import JobTopic, Topic
from hookcast.wire import SSE_END, SSE_PING, State, sse_retry

# The contract's limit is 256 KiB; beside each small frame that waits, the event loop keeps about as much of its own.
UNSENT_BYTES = 128 * 1024
KERNEL_BYTES = 128 * 1024  # what the kernel may hold besides: a slow reader is to get new states, not old ones
UNSENT_JOBS = 1000
SLOW_SECONDS = 30.0
CLOSE_SECONDS = 5.0


class Stream(asyncio.Protocol):
    """One connection and its topics.

    `_waiting` holds the newest state of each job while nothing may be written: before the stream has begun, while its
    reader is behind, and once it is closing. It is None while the stream is live.
    """

    __slots__ = (
        "_behind_since",
        "_closing",
        "_ends_at",
        "_sent_at",
        "_waiting",
        "connections",
        "engine",
        "slot",
        "transport",
    )
    active = True

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.connections: set[object] | None = None
        self.transport: asyncio.Transport | None = None
        self.slot = 0
        self._waiting: dict[str, State] | None = {}
        self._behind_since: float | None = None
        self._closing = False
        self._sent_at = self._ends_at = 0.0

    def open(self, transport: asyncio.Transport, head: bytes) -> None:
        """Go live: write `head`, and from now on everything that is pushed."""
        self.transport = transport
        _bound(transport)
        now = self.engine.clock()
        self._sent_at = now
        self._ends_at = now + self.engine.limits.lifetime * random.uniform(0.8, 1.0)  # noqa: S311
        self.engine.opened(self)
        self._waiting = None
        if head:
            transport.write(head)
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
        if waiting is None:
            return
        older = waiting.get(state.request_id)
        if older is None or older.version < state.version:
            waiting[state.request_id] = state
        if len(waiting) > UNSENT_JOBS and self.transport is not None:
            self.refuse_slow()

    def pause_writing(self) -> None:
        """The transport holds more than it may: the reader is behind."""
        if self._waiting is None:
            self._waiting = {}
            self._behind_since = self.engine.clock()
            self.engine.wheel.put(self, self._behind_since + SLOW_SECONDS)

    def resume_writing(self) -> None:
        """The reader has caught up."""
        self._behind_since = None
        # Later, since catching up may close, and asyncio's own transports break when that happens in this very call.
        asyncio.get_running_loop().call_soon(self.catch_up)

    def catch_up(self) -> None:
        """Write the newest states, and go on."""
        if self._closing or self.transport is None:
            return
        waiting, self._waiting = self._waiting or {}, None
        now = self._sent_at = self.engine.clock()
        for state in waiting.values():
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
        self.leave()
        self.engine.closed(self)
        self.transport = None
        if self.connections is not None:
            self.connections.discard(self)

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

    def begin(self, transport: asyncio.Transport, head: bytes, joined: Joined) -> None:
        """Send `head`, the retry time and the known states, then go live."""
        self._topics = tuple(joined.topics)
        for state in joined.states:
            self.keep(state)
        frames = [state.sse for state in (self._waiting or {}).values()]
        self._open = sum(not (isinstance(topic, JobTopic) and topic.ended) for topic in joined.topics)
        self.open(transport, b"".join([head, sse_retry(random.randint(1000, 3000)), *frames]))  # noqa: S311
        self.settled()

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
    """Bound what may wait: in the event loop, and in the kernel."""
    transport.set_write_buffer_limits(high=UNSENT_BYTES)
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
