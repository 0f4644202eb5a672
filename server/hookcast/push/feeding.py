"""Send states as fast as the reader takes them: a pending state is held as a name, and read when it can be sent."""

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from typing import Self, cast

from hookcast.auth import EVERYBODY, Caller
from hookcast.errors import StoreUnavailable
from hookcast.push.backlog import Backlog, Partial
from hookcast.push.direct import DirectSocket, send_to_each
from hookcast.push.engine import Engine
from hookcast.push.shared import cost
from hookcast.push.stream import BEHIND, CLOSING, LIVE, Stream
from hookcast.push.subscriptions import CHUNK
from hookcast.wire import State

AGAIN_SECONDS = 1.0  # after a read that failed
WRITE_BYTES = 32 * 1024  # of states that are written together; a reader that is slow leaves most of them to be kept


def _together(waiting: deque[State]) -> list[State]:
    """Take the states that are written next from those that wait: none before a large one."""
    taken, size = list[State](), 0
    while waiting and waiting[0].small and (not taken or size + len(waiting[0].body) <= WRITE_BYTES):
        taken.append(waiting.popleft())
        size += len(taken[-1].body)
    return taken


class FedStream(Stream):
    """A stream with a backlog; None while it is live."""

    __slots__ = ("_backlog", "_pushed")

    def __init__(self, engine: Engine, caller: Caller = EVERYBODY) -> None:
        super().__init__(engine, caller)
        self._backlog: Backlog | None = None
        self._pushed: dict[str, int] | None = None  # while a subscription is read: versions pushed meanwhile

    def frame(self, state: State) -> bytes:
        """Return the state as this kind of stream sends it."""
        raise NotImplementedError

    def push_many(self, states: Sequence[State], now: float, *, ended: bool) -> None:
        """Write states that come at once together, and keep those that the reader cannot take now."""
        if now >= self._expires_at:
            return
        waiting = deque(filter(self.shows, states))
        while self._mode is LIVE and (together := _together(waiting)):
            self.write(b"".join(map(self.frame, together)))
            self._sent_at = now
        if waiting and self._mode is not CLOSING:
            for state in waiting:  # all of them, before the stream may find that nothing is left to send
                self.keep(state)
            self.catch_up()
        if ended:
            self.settled()

    @classmethod
    def push_to_all(cls, streams: Sequence[Self], state: State, now: float, *, ended: bool) -> None:
        """Do what `push` does, for each stream. Streams that only need the frame written get it in one loop."""
        ready = [
            stream
            for stream in streams
            if stream._mode is LIVE
            and stream._direct is not None
            and stream._pushed is None
            and stream.caller is None
            and now < stream._expires_at
            and state.small
        ]
        if len(ready) < len(streams):
            for stream in set(streams).difference(ready):
                stream.push(state, now, ended=ended)
        if ready:
            cls._write_to_all(ready, ready[0].frame(state), now)
        if ended:
            for stream in ready:
                stream.settled()

    @staticmethod
    def _write_to_all(streams: Sequence["FedStream"], frame: bytes, now: float) -> None:
        sockets = list[DirectSocket]()
        for stream in streams:
            stream._sent_at = now
            sockets.append(cast("DirectSocket", stream._direct))
        for position, sent in send_to_each(sockets, frame):
            transport = streams[position].transport
            if transport is not None:
                transport.write(memoryview(frame)[sent:])

    def later(self, state: State) -> None:
        """Send a state once the reader has taken the earlier ones; a newer state of its job replaces it."""
        if self._mode is CLOSING:
            return
        self.keep(state)
        if self._backlog is not None and self._taking():
            if self._mode is LIVE:
                self._mode = BEHIND
            if not self.midway:
                del self._backlog.newer[state.request_id]
                self._write_state(self._backlog, state)
            self.catch_up()

    def keep(self, state: State) -> None:
        """Note the state. Close a slow reader if too many jobs wait."""
        if self._backlog is None:
            self._backlog = Backlog()
        if self.transport is not None and self._backlog.full(state):
            self.refuse_slow()
        else:
            self._backlog.add(state)
            self.engine.recent.put(state)

    def keep_first(self, states: list[State]) -> None:
        """Note the first states of a subscription, which do not make the reader a slow one."""
        if self._backlog is None:
            self._backlog = Backlog()
        self._backlog.room += len(states)
        for state in states:
            self.keep(state)

    def begin_with(self, backlog: Backlog | None, pushed: dict[str, int]) -> None:
        """Read these first states as the reader takes them; `pushed` are versions that it received meanwhile."""
        if backlog is None or self._mode is CLOSING:
            return
        if self._backlog is None:
            self._backlog = Backlog()
        self._backlog.extend(backlog, pushed)
        if self._mode is LIVE:
            self._mode = BEHIND
        self.catch_up()

    def catch_up(self) -> None:
        """Write pending states while the reader takes them, then go live."""
        if not self._taking():
            return
        backlog = self._backlog
        if backlog is not None:
            self._write_partial(backlog)
            if backlog.partial is None:
                self._write_newer(backlog)
            if not self._taking():
                return
        if backlog:
            self._mode = BEHIND
            if not backlog.feeding:
                backlog.feeding = self.engine.tasks.start(self.kind, self._feed, backlog) is not None
        else:
            self._mode, self._backlog = LIVE, None
            self.settled()
        if self._mode is not CLOSING:
            self.engine.wheel.put(self, self._next_look())

    @property
    def midway(self) -> bool:
        """True while a large state is sent in part."""
        return self._backlog is not None and self._backlog.partial is not None

    def _taking(self) -> bool:
        return self._mode is not CLOSING and self.transport is not None and self._behind_since == math.inf

    def _write_newer(self, backlog: Backlog) -> None:
        for request_id, version in tuple(backlog.newer.items()):
            state = self.engine.recent.get(request_id, version)
            if state is not None:
                del backlog.newer[request_id]
                self._write_state(backlog, state)
                if not self._taking():
                    return

    def _write_state(self, backlog: Backlog, state: State) -> None:
        now = self.engine.clock()
        if now >= self._expires_at or not self.shows(state):
            return
        self._sent_at = now
        backlog.note_sent(state.request_id)
        if state.small:
            self.write(self.frame(state))
        else:
            self._write_large(backlog, state, 0)

    def _write_large(self, backlog: Backlog, state: State, sent: int) -> None:
        """Send the rest of a large state as far as the reader takes it, and note the position."""
        frame = self.frame(state)
        while sent < len(frame) and self._taking():
            sent += self.write_some(memoryview(frame)[sent:])
        if sent == len(frame):
            self._finish(backlog)
        else:
            backlog.partial = Partial(state.request_id, state.version, sent, len(frame), hash(frame))
            self.engine.recent.put_partial(state)

    def _finish(self, backlog: Backlog) -> None:
        backlog.partial, after, backlog.after = None, backlog.after, b""
        if after and self.transport is not None:
            self.transport.write(after)

    def finish_frame(self) -> bool:
        """Give the transport the rest of a large state that is sent in part. Return False if it is not at hand."""
        partial = None if self._backlog is None else self._backlog.partial
        if partial is None:
            return True
        state = self.engine.recent.get_partial(partial.request_id, partial.version)
        if state is None or self.transport is None:
            return False
        self.transport.write(memoryview(self.frame(state))[partial.sent :])
        return True

    def _write_partial(self, backlog: Backlog) -> None:
        """Continue the state that was sent in part, if it is at hand."""
        partial = backlog.partial
        state = None if partial is None else self.engine.recent.get_partial(partial.request_id, partial.version)
        if partial is not None and state is not None:
            self._go_on(backlog, partial, state)

    def _go_on(self, backlog: Backlog, partial: Partial, state: State | None) -> None:
        """Send the rest of the state. Abort if it has changed meanwhile: the client reconnects."""
        if state is None or (len(self.frame(state)), hash(self.frame(state))) != (partial.size, partial.hash):
            self.end(b"", why="changed")
            if self.transport is not None:
                self.transport.abort()
        else:
            self._sent_at = self.engine.clock()
            self._write_large(backlog, state, partial.sent)

    async def _feed(self, backlog: Backlog) -> None:
        """Read pending states, in portions, until the reader falls behind or has everything."""
        try:
            while backlog and self._taking():
                try:
                    progress = await self._feed_portion(backlog)
                except StoreUnavailable:
                    progress = False
                if not progress and self._taking():
                    await asyncio.sleep(AGAIN_SECONDS)
        finally:
            backlog.feeding = False
        self.catch_up()

    async def _feed_portion(self, backlog: Backlog) -> bool:
        """Send or keep the next states. Return False if there was none. Raises StoreUnavailable."""
        subscriptions = self.engine.subscriptions
        if backlog.partial is not None:
            return await self._feed_partial(backlog, backlog.partial)
        if backlog.large:
            return await self._feed_large(backlog, *next(iter(backlog.large.items())))
        names = backlog.next_names(CHUNK)
        if not names:
            feed = backlog.feeds[0]
            found = await subscriptions.names_of(feed, self.caller or EVERYBODY)
            if feed in backlog.feeds:
                backlog.expand(feed, found)
            return True
        states, large = await subscriptions.read({name: backlog.first.get(name, 0) for name in names})
        missing = set(names) - {state.request_id for state in states} - large.keys()
        for name in missing:
            backlog.forget(name)
        backlog.large = large
        taken = [self._take(backlog, state) for state in states]
        return bool(missing or large) or any(taken)

    async def _feed_large(self, backlog: Backlog, request_id: str, size: int) -> bool:
        """Read a large state when it is its turn, and send it. Raises StoreUnavailable."""
        async with self.engine.turns.turn(cost(size)):
            if not self._taking():
                return False
            job = await self.engine.subscriptions.whole(request_id)
            if job is None:
                backlog.forget(request_id)
            return job is None or self._take(backlog, self.engine.recent.encode(job))

    async def _feed_partial(self, backlog: Backlog, partial: Partial) -> bool:
        """Read the state that was sent in part, and send the rest. Raises StoreUnavailable."""
        async with self.engine.turns.turn(cost(partial.size)):
            if self._taking():
                job = await self.engine.subscriptions.whole(partial.request_id)
                self._go_on(backlog, partial, None if job is None else self.engine.recent.encode(job))
        return True

    def _take(self, backlog: Backlog, state: State) -> bool:
        """Send a state that was read, or keep it. Return False if a newer one of its job is to come."""
        request_id, version = state.request_id, state.version
        pushed, waiting = backlog.pushed.get(request_id, 0), backlog.newer.get(request_id, 0)
        if self._mode is CLOSING or version < waiting:
            return False
        awaited = waiting or request_id in backlog.first  # otherwise it was pushed while it was read
        backlog.forget(request_id)
        if awaited and self.engine.hub.deliver(state, skip=self) and (waiting or version > pushed):
            if self._taking():
                self._write_state(backlog, state)
            else:
                self.keep_first([state])
        return True
