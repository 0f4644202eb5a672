"""One WebSocket of `hookcast.v1` (RFC 6455): what `Stream` is for SSE, with names that come and go."""

import asyncio
from collections import deque

from hookcast.bus import group_topic, job_topic
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
PARSED_BYTES = 4096  # in one turn of the loop: thousands of tiny frames fit into one read, and others have to wait

_log = get_logger(__name__)


class Socket(Stream):
    """Client messages are worked off one after the other, by a task that lives as long as there are any.

    Nothing more is read meanwhile, so that a client cannot pile them up.
    """

    __slots__ = ("_inbox", "_messages", "_pushed", "_topics", "_unread")

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._topics: dict[str, Topic] = {}
        self._inbox: Inbox | None = None
        self._messages: deque[str | None] | None = None
        self._unread = b""
        self._pushed: dict[str, int] | None = None  # while a subscription is read: what overtook it

    def begin(self, transport: asyncio.Transport) -> None:
        """Go live. Nothing is watched yet."""
        self.open(transport, b"")

    def push(self, state: State, now: float, *, ended: bool) -> None:  # noqa: ARG002
        """Write at once, or let it wait."""
        if self._waiting is None:
            self.transport.write(state.websocket)  # type: ignore[union-attr]
            self._sent_at = now
            if self._pushed is not None:
                self._pushed[state.request_id] = state.version
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
        self._listen()

    def pause_writing(self) -> None:
        """Who does not read is not listened to either, so that answers to its pings do not pile up."""
        super().pause_writing()
        self._listen()

    def catch_up(self) -> None:
        """Write the newest states, and listen again."""
        super().catch_up()
        self._listen()

    def data_received(self, data: bytes) -> None:
        """The transport's way in."""
        under_way, self._unread = bool(self._unread), self._unread + data
        if not under_way:
            self._read_on()

    def _read_on(self) -> None:
        data, self._unread = self._unread[:PARSED_BYTES], self._unread[PARSED_BYTES:]
        transport = self.transport
        if transport is None or transport.is_closing():
            self._unread = b""
            return
        self._parse(transport, data)
        if self._unread:
            asyncio.get_running_loop().call_soon(self._read_on)
        self._listen()

    def _parse(self, transport: asyncio.Transport, data: bytes) -> None:
        inbox = self._inbox or Inbox()
        received = inbox.receive(data)
        self._inbox = inbox
        if inbox.idle:
            inbox.close()
            self._inbox = None
        if self._closing:
            if received.closed:
                transport.close()
            return
        if received.reply and not received.closed:
            transport.write(received.reply)
        if received.messages:
            self._work_off(received.messages)
        if received.closed:
            self.end(received.reply)

    async def receive(self, text: str | None) -> None:
        """Do what one message says (None = it was binary)."""
        if self._closing:
            return None
        try:
            message = messages.parse(text)
            names = messages.names_of(message)
            if isinstance(message, Unsubscribe) and messages.asked(message) <= messages.MAX_NAMES:
                return self._unsubscribe(names)
            if not self._refuse_too_many(message, names):
                await self._subscribe(names)
        except InvalidRequest as error:
            self.close(messages.BAD_MESSAGE, "bad message", messages.error("bad_message", str(error)))
        except StoreUnavailable:
            self.drain()
        except Exception as error:  # noqa: BLE001 - a fault of ours may end this connection, not the node
            _log.error("socket_crashed", exc_info=error)
            self.close(messages.INTERNAL_ERROR, "internal error")

    def _work_off(self, new: list[str | None]) -> None:
        if self._messages is not None:
            self._messages.extend(new)
            return
        self._messages = deque(new)
        self.engine.spawn(self._work(self._messages))

    async def _work(self, waiting: deque[str | None]) -> None:
        while waiting:
            await self.receive(waiting.popleft())
            if waiting:
                await asyncio.sleep(0)  # a message need not wait for anything, and others want their turn
        self._messages = None
        self._listen()

    async def _subscribe(self, names: Names) -> None:
        wrong = [name for name in names.jobs if not valid_request_id(name)]
        if wrong:
            raise InvalidRequest(f"No job can have the requestId {wrong[0]!r}.")
        topics = self.engine.hub.join(self, names)
        self._topics.update((topic.name, topic) for topic in topics)
        self._send(messages.subscribed(names))
        pushed = self._pushed = {}
        try:
            joined = await self.engine.join(self, names)
        finally:
            self._pushed = None
        self.make_room(joined.states)
        for state in joined.states:
            if state.version > pushed.get(state.request_id, 0):
                self.push(state, self.engine.clock(), ended=False)

    def _refuse_too_many(self, message: Subscribe | Unsubscribe, names: Names) -> bool:
        asked = messages.asked(message)
        after = len(self._topics.keys() | set(_topic_names(names)))  # what is watched already takes no room
        if asked <= messages.MAX_NAMES and after <= MAX_SUBSCRIBED:
            return False
        text = f"At most {messages.MAX_NAMES} names a message and {MAX_SUBSCRIBED} a connection are taken."
        told = messages.error("too_many", text, message.request_ids[: messages.MAX_NAMES])
        self.close(messages.TOO_MANY, "too many", told)
        return True

    def _unsubscribe(self, names: Names) -> None:
        topics = [self._topics.pop(name, None) for name in _topic_names(names)]
        self.engine.leave(self, [topic for topic in topics if topic is not None])

    def _send(self, frame: bytes) -> None:
        if self.transport is not None and not self._closing:
            self.transport.write(frame)
            self._sent_at = self.engine.clock()

    def _listen(self) -> None:
        """Read on when all that was read is worked off and the reader is not behind; and for the client's close."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        wanted = not self._unread and (self._closing or (self._messages is None and self._waiting is None))
        if wanted and not transport.is_reading():
            transport.resume_reading()
        elif not wanted and transport.is_reading():
            transport.pause_reading()


def _topic_names(names: Names) -> list[str]:
    return [*map(job_topic, names.jobs), *map(group_topic, names.groups)]
