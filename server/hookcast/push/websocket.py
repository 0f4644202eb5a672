"""WebSocket streams of `hookcast.v1` (RFC 6455), whose subscriptions change while they are open."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from hookcast.auth import EVERYBODY, NOBODY, Caller
from hookcast.errors import (
    AccessError,
    InvalidRequest,
    JobNotFound,
    LimitReached,
    TokenExpired,
    Unauthorized,
    Unavailable,
)
from hookcast.jobs import valid_request_id
from hookcast.logs import get_logger
from hookcast.push import messages
from hookcast.push.closes import Close
from hookcast.push.engine import NAMES_AT_ONCE, NAMES_PER_SECOND, Engine
from hookcast.push.messages import Subscribe, Unsubscribe
from hookcast.push.socket import Socket
from hookcast.push.stream import CLOSING, LIVE
from hookcast.push.topics import NO_NAMES, Feed, JobTopic, Names, Topics, names_of
from hookcast.wire import State

MAX_SUBSCRIBED = 1000  # names per connection
UNUSED_SECONDS = 60.0  # lifetime of a connection that never subscribes
IDENTIFY_SECONDS = 10.0  # for a connection opened without a token to send one

_NO_JOBS: dict[str, JobTopic] = {}  # shared by all streams that have not subscribed yet
_NO_FEEDS: Mapping[str, Feed] = {}  # by channel; shared by all streams that watch no feed
_log = get_logger(__name__)


class WebSocketStream(Socket):
    """A client of `hookcast.v1`: its names, its token, its limits."""

    __slots__ = ("_feeds", "_held", "_jobs", "_joining", "_refusal")

    def __init__(
        self,
        engine: Engine,
        caller: Caller = EVERYBODY,
        *,
        refusal: AccessError | None = None,
        opened_by: bytes | None = None,
    ) -> None:
        super().__init__(engine, caller, opened_by)
        self._refusal = refusal
        self._jobs = _NO_JOBS
        self._feeds = _NO_FEEDS
        self._joining = ""  # the only job of such a subscription, whose states wait for it
        self._held: State | None = None

    def begin(self, transport: asyncio.Transport) -> None:
        """Go live without subscriptions, and close if the caller was refused."""
        super().begin(transport)
        if self._refusal is not None:
            self.refuse(self._refusal)

    def push(self, state: State, now: float, *, ended: bool) -> None:  # noqa: ARG002
        """Write the state if the stream is live, otherwise later."""
        if now >= self._expires_at or (self.caller is not None and not self.shows(state)):
            return
        if state.request_id == self._joining:
            self._held = state
        elif self._mode is LIVE and state.small:
            self.write(state.websocket)
            self._sent_at = now
        else:
            self.later(state)
        if self._pushed is not None:
            self._pushed[state.request_id] = state.version

    def push_many(self, states: Sequence[State], now: float, *, ended: bool) -> None:
        """Receive several states. While a subscription to one job is read, that job's state waits."""
        if self._joining:
            for state in states:
                if state.request_id == self._joining:
                    self.push(state, now, ended=ended)
            states = [state for state in states if state.request_id != self._joining]
        super().push_many(states, now, ended=ended)
        if self._pushed is not None and now < self._expires_at:
            self._pushed.update((state.request_id, state.version) for state in states if self.shows(state))

    def frame(self, state: State) -> bytes:
        """Return the state as a message."""
        return state.websocket

    def ping(self) -> bytes:
        """Return the `ping` message: pages in a browser cannot see ping frames."""
        return messages.PING

    def identify(self, caller: Caller) -> None:
        """Show what this caller may see; a caller without a token has IDENTIFY_SECONDS to send one."""
        super().identify(caller)
        if caller is NOBODY:
            self._expires_at = self.engine.clock() + IDENTIFY_SECONDS

    def expiring(self) -> bytes:
        """Return the `token-expiring` message; a newer token in a `subscribe` keeps the connection open."""
        return messages.TOKEN_EXPIRING

    def expire(self) -> None:
        """Close with 4502, or with 4501 if there never was a token."""
        if self.caller is NOBODY:
            self.close(Close.UNAUTHORIZED)
        else:
            self.note_closed("token_expired")
            self.close(Close.TOKEN_EXPIRED)

    def leave(self) -> None:
        """Unsubscribe from everything."""
        super().leave()
        topics = Topics(tuple(self._jobs.values()), tuple(self._feeds.values()))
        self._jobs, self._feeds = {}, _NO_FEEDS
        self.engine.subscriptions.leave(self, topics)

    def watched(self) -> Iterable[str]:
        """Return the requestIds that the connection watches by name."""
        return self._jobs

    def drain(self) -> None:
        """Send `reconnect`, then close with 1012."""
        self.end(messages.reconnect(self.retry_ms()), why="restart", wait=True)

    def lifetime(self) -> float:
        """Return the lifetime in seconds: at most UNUSED_SECONDS until the first subscription."""
        whole = super().lifetime()
        return min(whole, UNUSED_SECONDS) if self._jobs is _NO_JOBS else whole

    def rotate(self) -> None:
        """Close with 4002, or with 1000 if the connection never subscribed."""
        if self._jobs is _NO_JOBS and self.engine.limits.lifetime > UNUSED_SECONDS:
            self.close(Close.UNUSED)
        else:
            self.close(Close.ROTATE)

    async def receive(self, text: str | None) -> None:
        """Handle one message (None for a binary one)."""
        if self._mode is CLOSING:
            return
        try:
            await self._obey(messages.parse(text))
        except InvalidRequest as error:
            self.close(Close.BAD_MESSAGE, messages.error("bad_message", str(error)))
        except AccessError as error:
            self.refuse(error)
        except LimitReached as error:
            self._refuse_limit(str(error))
        except Unavailable:
            self.drain()
        except Exception as error:  # noqa: BLE001 - a bug may end this connection, not the node
            _log.error("socket_crashed", exc_info=error)
            self.close(Close.INTERNAL_ERROR)

    async def _obey(self, message: Subscribe | Unsubscribe) -> None:
        names = messages.names_of(message)
        if self._refuse_too_fast(message):
            return
        if isinstance(message, Unsubscribe) and messages.asked(message) <= messages.MAX_NAMES:
            self._unsubscribe(names)
        elif not self._refuse_too_many(message, names):
            await self._renew(getattr(message, "token", None))
            await self._subscribe(names, getattr(message, "since", None))

    def refuse(self, error: AccessError) -> None:
        """Close with 4501, or with 4502 if the token has merely expired."""
        self.close(Close.TOKEN_EXPIRED if isinstance(error, TokenExpired) else Close.UNAUTHORIZED)

    async def _renew(self, token: str | None) -> None:
        """Apply a token from now on. Raises AccessError if it is invalid, or if the caller never sent one."""
        if token is None or self.engine.gate.open:
            if self.caller is NOBODY:
                raise Unauthorized("Subscribe with a token.")
            return
        before = self.caller or EVERYBODY
        caller = before.renewed(await self.engine.gate.admit(token))
        if caller.name and not caller.full:
            self.engine.admission.hold(self, caller.name)
        self.identify(caller)
        if self.transport is not None and self._mode is not CLOSING:
            self.engine.wheel.put(self, self._next_look())
        watched = names_of(self._jobs, self._feeds.values())
        hidden = watched.without(await self._permitted(watched))
        if hidden != NO_NAMES:
            self._unsubscribe(hidden)
            self._send(messages.forbidden(hidden))

    async def _permitted(self, names: Names) -> Names:
        return await self.engine.subscriptions.permitted(self.caller or EVERYBODY, names)

    async def _subscribe(self, asked: Names, since: datetime | None) -> None:
        wrong = [name for name in asked.jobs if not valid_request_id(name)]
        if wrong:
            raise InvalidRequest(f"{wrong[0]!r} is not a valid requestId.")
        if asked.size == len(asked.jobs) == 1 and asked.jobs[0] not in self._jobs:
            return await self._subscribe_one(asked)
        names = await self._permitted(asked)
        if self._mode is CLOSING:
            return None
        if names != asked:
            self._refuse_names(asked.without(names))
            if names == NO_NAMES:
                return None
        topics = self.engine.hub.join(self, names)
        self._remember(topics)
        self._send(messages.subscribed(names))
        pushed = self._pushed = {}
        try:
            joined = await self.engine.subscriptions.join(self, names, self.caller or EVERYBODY, since=since)
        finally:
            self._pushed = None
        if self._mode is CLOSING:
            return None
        self.keep_first([state for state in joined.states if state.version > pushed.get(state.request_id, 0)])
        self.begin_with(joined.rest, pushed)
        return self.catch_up()

    async def _subscribe_one(self, asked: Names) -> None:
        """Subscribe to one job by one read, and confirm it together with its state. Newer states wait meanwhile."""
        self._joining, self._pushed = asked.jobs[0], {}
        try:
            joined = await self.engine.subscriptions.join_one(self, self._joining, self.caller or EVERYBODY)
        except JobNotFound:
            return self._refuse_names(asked)
        finally:
            pushed = self._let_go()
        if self._mode is CLOSING:
            return self.engine.subscriptions.leave(self, joined.topics)
        self._remember(joined.topics)
        states, confirmed = joined.states or pushed, messages.subscribed(asked)
        if self._mode is LIVE and joined.rest is None and all(state.small for state in states):
            self._sent_at = self.engine.clock()
            shown = (
                [state.websocket for state in states if self.shows(state)] if self._sent_at < self._expires_at else []
            )
            return self.write(b"".join((confirmed, *shown)))
        self._send(confirmed)
        self.keep_first(states)
        self.begin_with(joined.rest, {})
        return self.catch_up()

    def _let_go(self) -> list[State]:
        """Hold no states any more, and return the one held, which is older than one that was read."""
        held = [] if self._held is None else [self._held]
        self._joining, self._held, self._pushed = "", None, None
        return held

    def _refuse_names(self, hidden: Names) -> None:
        self.engine.note_refused(hidden.jobs, self.kind, JobNotFound.code)
        self._send(messages.forbidden(hidden))

    def _remember(self, topics: Topics) -> None:
        if self._jobs is _NO_JOBS:
            self._jobs = {}
            self._ends_at = self.engine.clock() + self.lifetime()
        self._jobs.update((topic.request_id, topic) for topic in topics.jobs)
        if topics.feeds:
            self._feeds = {**self._feeds, **{feed.channel: feed for feed in topics.feeds}}

    def _refuse_too_many(self, message: Subscribe | Unsubscribe, names: Names) -> bool:
        asked = messages.asked(message)
        # Names already watched count once.
        after = len(self._jobs.keys() | set(names.jobs)) + len(self._feeds.keys() | set(names.feeds))
        if asked <= messages.MAX_NAMES and after <= MAX_SUBSCRIBED:
            return False
        text = f"At most {messages.MAX_NAMES} names per message and {MAX_SUBSCRIBED} per connection are accepted."
        self._refuse_limit(text, Names(jobs=tuple(message.request_ids[: messages.MAX_NAMES])))
        return True

    def _refuse_too_fast(self, message: Subscribe | Unsubscribe) -> bool:
        """Close a client over its rate limit and return True. Each subscribed name costs a read of the store."""
        cost = max(1, messages.asked(message)) if isinstance(message, Subscribe) else 1
        if not self.engine.asking.take(self, cost):
            return False
        self._refuse_limit(f"At most {NAMES_AT_ONCE} names at once and {NAMES_PER_SECOND} per second are accepted.")
        return True

    def _refuse_limit(self, text: str, names: Names = NO_NAMES) -> None:
        self.close(Close.TOO_MANY, messages.error("too_many", text, names))

    def _unsubscribe(self, names: Names) -> None:
        jobs = tuple(self._jobs.pop(name) for name in names.jobs if name in self._jobs)
        left = tuple(self._feeds[channel] for channel in names.feeds if channel in self._feeds)
        if left:
            self._feeds = {channel: feed for channel, feed in self._feeds.items() if feed not in left}
        if self._backlog is not None:
            self._backlog.drop(names.jobs, names.feeds)
        self.engine.subscriptions.leave(self, Topics(jobs, left))
