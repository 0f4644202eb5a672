"""One WebSocket of `hookcast.v1` (RFC 6455): what `Stream` is for SSE, with names that come and go."""

import asyncio
from collections import deque

from hookcast.errors import InvalidRequest, StoreUnavailable
from hookcast.fal.webhook import valid_request_id
from hookcast.logs import get_logger
from hookcast.push import messages
from hookcast.push.engine import Engine
from hookcast.push.hub import Names, Topic
from hookcast.push.inbox import Inbox
from hookcast.push.messages import Subscribe, Unsubscribe
from hookcast.push.stream import Stream
from hookcast.wire import State, websocket_close

MAX_SUBSCRIBED = 1000  # names a connection

_log = get_logger(__name__)


class Socket(Stream):
    """Client messages are worked off one after the other, by a task that lives as long as there are any.

    Nothing more is read meanwhile, so that a client cannot pile them up.
    """

    __slots__ = ("_inbox", "_joining", "_messages", "_topics")

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._topics: dict[str, Topic] = {}
        self._inbox: Inbox | None = None
        self._messages: deque[str | None] | None = None
        self._joining: dict[str, int] | None = None  # versions sent since a subscription that still reads its states

    def begin(self, transport: asyncio.Transport) -> None:
        """Go live. Nothing is watched yet."""
        self.open(transport, b"")

    def push(self, state: State, now: float, *, ended: bool) -> None:  # noqa: ARG002
        """Write at once, or let it wait."""
        if self._waiting is None:
            self.transport.write(state.websocket)  # type: ignore[union-attr]
            self._sent_at = now
            if self._joining is not None:
                self._joining[state.request_id] = state.version
        else:
            self.keep(state)

    def ping(self) -> bytes:
        """The `ping` message: a browser cannot see a ping frame."""
        return messages.PING

    def leave(self) -> None:
        """Unsubscribe from everything."""
        topics, self._topics = self._topics, {}
        self.engine.leave(self, topics.values())

    def drain(self) -> None:
        """`reconnect`, then close 1012."""
        self.end(messages.reconnect(self.retry_ms()), wait=True)

    def rotate(self) -> None:
        """Close 4002."""
        self.close(messages.ROTATE, "rotate")

    def refuse_slow(self) -> None:
        """Close 4001."""
        self.close(messages.SLOW, "slow")

    def close(self, code: int, reason: str, before: bytes = b"") -> None:
        """Start the closing handshake (RFC 6455 section 7.1.2)."""
        self.end(before + websocket_close(code, reason), wait=True)

    def end(self, farewell: bytes, *, wait: bool = False) -> None:
        """Close; the client's own close frame is still read."""
        super().end(farewell, wait=wait)
        self._listen(True)

    def pause_writing(self) -> None:
        """Who does not read is not listened to either, so that answers to its pings do not pile up."""
        super().pause_writing()
        self._listen(False)

    def catch_up(self) -> None:
        """Write the newest states, and listen again."""
        super().catch_up()
        self._listen(self._messages is None and self._waiting is None)

    def data_received(self, data: bytes) -> None:
        """The transport's way in."""
        inbox = self._inbox or Inbox()
        received = inbox.receive(data)
        transport = self.transport
        if transport is None:
            return
        if self._closing:
            if received.closed:
                transport.close()
            return
        self._inbox = inbox
        if inbox.idle:
            inbox.close()
            self._inbox = None
        if received.reply and not received.closed:
            transport.write(received.reply)
        if received.messages:
            self._work_off(received.messages)
        if received.closed:
            self.end(received.reply)

    async def receive(self, text: str | None) -> None:
        """Do what one message says (None = it was binary)."""
        try:
            message = messages.parse(text)
            if isinstance(message, Unsubscribe):
                return self._unsubscribe(messages.names_of(message))
            await self._subscribe(message)
        except InvalidRequest as error:
            self.close(messages.BAD_MESSAGE, "bad message", messages.error("bad_message", str(error)))
        except StoreUnavailable:
            self.drain()

    def _work_off(self, new: list[str | None]) -> None:
        if self._messages is not None:
            self._messages.extend(new)
            return
        self._messages = deque(new)
        self._listen(False)
        self.engine.spawn(self._work())

    async def _work(self) -> None:
        waiting = self._messages
        try:
            while waiting and not self._closing:
                await self.receive(waiting.popleft())
        except Exception as error:  # noqa: BLE001 - a fault of ours may end this connection, not the node
            _log.error("socket_crashed", exc_info=error)
            self.close(messages.INTERNAL_ERROR, "internal error")
        finally:
            self._messages = None
            self._listen(self._waiting is None)

    async def _subscribe(self, message: Subscribe) -> None:
        names = messages.names_of(message)
        if self._refuse_too_many(message, names):
            return
        wrong = [name for name in names.jobs if not valid_request_id(name)]
        if wrong:
            raise InvalidRequest(f"No job can have the requestId {wrong[0]!r}.")
        topics = self.engine.hub.join(self, names)
        self._topics.update((topic.name, topic) for topic in topics)
        self._send(messages.subscribed(names))
        sent = self._joining = {}
        try:
            joined = await self.engine.join(self, names)
        finally:
            self._joining = None
        for state in joined.states:
            if state.version > sent.get(state.request_id, 0):
                self.push(state, self.engine.clock(), ended=False)

    def _refuse_too_many(self, message: Subscribe, names: Names) -> bool:
        asked = len(message.request_ids) + len(message.groups)
        after = len(self._topics) + len(names.jobs) + len(names.groups)
        if asked <= messages.MAX_NAMES and after <= MAX_SUBSCRIBED:
            return False
        text = f"At most {messages.MAX_NAMES} names a message and {MAX_SUBSCRIBED} a connection are taken."
        told = messages.error("too_many", text, message.request_ids[: messages.MAX_NAMES])
        self.close(messages.TOO_MANY, "too many", told)
        return True

    def _unsubscribe(self, names: Names) -> None:
        keys = [f"job:{name}" for name in names.jobs] + [f"group:{name}" for name in names.groups]
        self.engine.leave(self, [topic for key in keys if (topic := self._topics.pop(key, None)) is not None])

    def _send(self, frame: bytes) -> None:
        if self.transport is not None and not self._closing:
            self.transport.write(frame)
            self._sent_at = self.engine.clock()

    def _listen(self, wanted: bool) -> None:
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        wanted = wanted or self._closing
        if wanted and not transport.is_reading():
            transport.resume_reading()
        elif not wanted and transport.is_reading():
            transport.pause_reading()
