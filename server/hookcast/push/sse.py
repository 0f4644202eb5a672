"""SSE streams (WHATWG HTML, section 9.2 "Server-sent events")."""

import asyncio
import math
import random
from collections.abc import Iterable, Sequence
from datetime import datetime

from hookcast.auth import EVERYBODY, Caller
from hookcast.errors import JobNotFound, TokenExpired
from hookcast.push.engine import Engine
from hookcast.push.feeding import FedStream
from hookcast.push.stream import LIVE
from hookcast.push.topics import NO_NAMES, Names, Topics
from hookcast.wire import SSE_END, SSE_PING, SSE_TOKEN_EXPIRING, SSE_WAITING, State, sse_retry

_NOTHING = Topics()
FIRST_BYTES = 64 * 1024  # of initial states written together with the head; more is not copied for each stream


class SseStream(FedStream):
    """An SSE stream. It ends when all its jobs are terminal, unless it watches a feed."""

    __slots__ = ("_first", "_topics")
    kind = "sse"

    def __init__(self, engine: Engine, caller: Caller = EVERYBODY) -> None:
        super().__init__(engine, caller)
        self._topics = _NOTHING
        self._first: Sequence[State] = ()  # until the stream begins

    async def join(self, asked: Names, *, since: datetime | None = None) -> None:
        """Subscribe to what the caller may watch, and read the initial states (`since`: of everything).

        Raises StoreUnavailable, JobNotFound if that is nothing, and TokenExpired if the token has expired meanwhile.
        """
        caller, subscriptions = self.caller or EVERYBODY, self.engine.subscriptions
        if asked.size == len(asked.jobs) == 1:
            joined = await subscriptions.join_one(self, asked.jobs[0], caller)
            self.caller = None
        else:
            names = await subscriptions.permitted(caller, asked)
            if names == NO_NAMES:
                raise JobNotFound(*asked.jobs, *asked.feeds)
            # A visible job stays visible, since its owner and group never change once set. So states need checking only
            # in groups that the token does not name: they may have jobs of other owners.
            if all(map(caller.knows_group, names.groups)):
                self.caller = None
            joined = await subscriptions.join(self, names, caller, since=since)
        self._topics = joined.topics
        if self.engine.clock() >= self._expires_at:
            raise TokenExpired("The token has expired; get a new one.")
        self._first = [state for state in joined.states if self.shows(state)]
        self.begin_with(joined.rest, {})

    def begin(self, transport: asyncio.Transport, head: bytes) -> None:
        """Send `head`, the `retry:` field and the known states, then go live."""
        parts = [head, sse_retry(int(random.uniform(1000, 3000)))]  # noqa: S311
        states, self._first = list(self._first), ()
        if self._backlog is not None:
            states = self._backlog.replaced_by(states)
        if self._behind_since == math.inf and sum(len(state.body) for state in states) <= FIRST_BYTES:
            parts += [state.sse for state in states]
        else:
            self.keep_first(states)
        self.open(transport, b"".join(parts))

    def push(self, state: State, now: float, *, ended: bool) -> None:
        """Write the state if the stream is live, otherwise later."""
        if now >= self._expires_at or (self.caller is not None and not self.shows(state)):
            return
        if self._mode is LIVE and state.small:
            self.write(state.sse)
            self._sent_at = now
        else:
            self.later(state)
        if ended:
            self.settled()

    def frame(self, state: State) -> bytes:
        """Return the state as an event."""
        return state.sse

    def ping(self) -> bytes:
        """Return an SSE comment. A `ping` tells clients that everything was sent; states may wait for the database."""
        return SSE_WAITING if self._backlog else SSE_PING

    def leave(self) -> None:
        """Unsubscribe from everything."""
        topics, self._topics = self._topics, _NOTHING
        self.engine.subscriptions.leave(self, topics)

    def watched(self) -> Iterable[str]:
        """Return the requestIds that the stream watches by name."""
        return [topic.request_id for topic in self._topics.jobs]

    def settled(self) -> None:
        """End the stream once the terminal state of its last job has been written."""
        if self._mode is LIVE and not self._topics.feeds and all(topic.ended for topic in self._topics.jobs):
            self.end(SSE_END, why="ended")

    def drain(self) -> None:
        """Send `retry:`, then close."""
        self.end(sse_retry(self.retry_ms()), why="restart")

    def rotate(self) -> None:
        """Send `retry:`, then close."""
        self.end(sse_retry(self.retry_ms()), why="rotate")

    def refuse_slow(self) -> None:
        """Abort the connection: anything written now would queue behind unread data."""
        super().refuse_slow()
        self.end(b"", why="slow")
        if self.transport is not None:
            self.transport.abort()

    def expiring(self) -> bytes:
        """Return the `token-expiring` event; the client reconnects with a new token."""
        return SSE_TOKEN_EXPIRING

    def expire(self) -> None:
        """Close; a reconnect with the old token gets 401."""
        self.note_closed("token_expired")
        self.end(b"", why="token_expired")
