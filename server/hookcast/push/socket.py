"""The connection of a WebSocket stream (RFC 6455): frames in, close handshakes, and when to read on.

`push.websocket` builds `hookcast.v1` on it.
"""

import asyncio
import math
from collections import deque

from hookcast.auth import EVERYBODY, Caller
from hookcast.logs import http_request_id
from hookcast.push.admission import BY_CLIENT
from hookcast.push.closes import Close
from hookcast.push.engine import Engine
from hookcast.push.feeding import FedStream
from hookcast.push.inbox import Inbox, whole_text
from hookcast.push.stream import CLOSING, OPENING

PARSED_BYTES = 4096  # per loop iteration: thousands of tiny frames fit into one read, and other tasks would wait


class Socket(FedStream):
    """A WebSocket. One task handles client messages in order, and ends when there are none left.

    Reading is paused meanwhile, so that a client cannot make the server buffer messages. What is logged meanwhile has
    the id of the HTTP request that opened the WebSocket, `opened_by`.
    """

    __slots__ = ("_inbox", "_messages", "_opened_by", "_unread")
    kind = "websocket"

    def __init__(self, engine: Engine, caller: Caller = EVERYBODY, opened_by: bytes | None = None) -> None:
        super().__init__(engine, caller)
        self._opened_by = opened_by
        self._inbox: Inbox | None = None
        self._messages: deque[str | None] | None = None
        self._unread = b""

    async def receive(self, text: str | None) -> None:
        """Handle one message (None for a binary one). Must not raise."""
        raise NotImplementedError

    def begin(self, transport: asyncio.Transport) -> None:
        """Go live, and parse what has already arrived."""
        self.open(transport, b"")
        if self._unread:
            self._read_on()

    def leave(self) -> None:
        """Drop the parsed part of an incomplete message."""
        self._drop_inbox()

    def refuse_slow(self) -> None:
        """Close with 4001."""
        super().refuse_slow()
        self.close(Close.SLOW)

    def close(self, close: Close, before: bytes = b"") -> None:
        """Send the frames in `before`, then start the closing handshake (RFC 6455 section 7.1.2)."""
        self.end(before + close.frame, why=close.name.lower(), wait=True)

    def end(self, farewell: bytes, *, why: str, wait: bool = False) -> None:
        """Close, but keep reading for the client's close frame."""
        super().end(farewell, why=why, wait=wait)
        self._listen()

    def pause_writing(self) -> None:
        """Stop reading from a client that does not read, so that pongs do not pile up."""
        super().pause_writing()
        self._listen()

    def catch_up(self) -> None:
        """Write the pending states, and resume reading."""
        super().catch_up()
        self._listen()

    def data_received(self, data: bytes) -> None:
        """Receive data from the transport; what arrives before `begin`, or while a message is handled, is kept."""
        idle = not self._unread and self._messages is None
        self._unread += data
        if idle and self.transport is not None:
            self._read_on()
        else:
            self._listen()

    def _read_on(self) -> None:
        data, self._unread = self._unread[:PARSED_BYTES], self._unread[PARSED_BYTES:]
        transport = self.transport
        if not data:
            return
        if transport is None or transport.is_closing():
            self._unread = b""
            return
        self._parse(transport, data)
        if self._unread:
            asyncio.get_running_loop().call_soon(self._read_on)
        self._listen()

    def _parse(self, transport: asyncio.Transport, data: bytes) -> None:
        text = whole_text(data) if self._inbox is None and self._mode is not CLOSING else None
        if text is not None:
            return self._work_off([text])
        inbox = self._inbox or Inbox()
        received = inbox.receive(data)
        self._inbox = inbox
        if inbox.idle or received.closed:
            self._drop_inbox()
        if self._mode is CLOSING:
            if received.closed:
                transport.close()
            return None
        if received.reply and not received.closed:
            self._send(received.reply)
        if received.messages:
            self._work_off(received.messages)
        if received.closed:
            self.end(received.reply, why=BY_CLIENT)
        return None

    def _drop_inbox(self) -> None:
        inbox, self._inbox = self._inbox, None
        if inbox is not None:
            inbox.close()

    def _work_off(self, new: list[str | None]) -> None:
        if self._messages is not None:
            self._messages.extend(new)
            return
        self._messages = deque(new)
        self.engine.tasks.start("websocket", self._work, self._messages)

    async def _work(self, waiting: deque[str | None]) -> None:
        if self._opened_by is not None:
            http_request_id.set(self._opened_by.decode())
        while waiting:
            await self.receive(waiting.popleft())
            if waiting:
                await asyncio.sleep(0)  # a message may be handled without awaiting; let other tasks run
        self._messages = None
        if self._unread:
            self._read_on()
        else:
            self._listen()

    def _send(self, frame: bytes) -> None:
        """Send a frame that is not a state."""
        if self._backlog is not None and self._backlog.partial is not None:
            self._backlog.after += frame
        elif self.transport is not None and self._mode is not CLOSING:
            self.transport.write(frame)
            self._sent_at = self.engine.clock()

    def _listen(self) -> None:
        """Read only while all input is handled and the reader reads, or while closing, for the close frame.

        While a message is handled, reading goes on until more arrives: most clients send one at a time.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        open_ = self._mode is not OPENING and self._behind_since == math.inf and not self.midway
        ready = self._mode is CLOSING or open_
        wanted = ready and not self._unread
        if wanted and not transport.is_reading():
            transport.resume_reading()
        elif not wanted and transport.is_reading():
            transport.pause_reading()
