"""HTTP/1.1 (RFC 9112) with a size limit on request heads and a deadline for each wait on the client.

uvicorn's parser accepts a request head of any size, at any pace. Here its size is limited, and each wait has a
deadline: for the head, for the rest of a refused body, for the client to read a response. That costs one timer handle
per waiting connection, no task, and nothing once a stream has the connection. Bodies are limited where they are read
(routes/bodies.py), streams in push/stream.py.
"""

import asyncio
import enum
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from hookcast.errors import BadRequest, HeadTimeout, HookcastError
from hookcast.push.handover import HANDOVER
from hookcast.push.stream import Stream
from hookcast.routes.access_log import log_refused
from hookcast.serving.base import Config, addresses, hand_over, last_words, scope_read
from hookcast.serving.heads import MAX_HEAD_BYTES, oversize, too_large, wrong_host
from hookcast.serving.unread import Unread
from hookcast.serving.websocket import Handshake, accept_key, end_of_head, scope_of

MAX_PIPELINED = 100  # requests queued behind an unanswered one
MAX_IGNORED_BYTES = 64 * 1024 * 1024  # of a refused body


class Stage(enum.Enum):
    """The part of a request that is expected next."""

    START = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()
    NOTHING = enum.auto()
    """The client was refused; further data is ignored."""


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, offering the connection of each request to the application (see push/handover.py).

    `_answered` is the request being answered, or the last one answered; `cycle` is the newest one read.
    """

    config: Config
    _answered: RequestResponseCycle | None = None
    _stage = Stage.START
    _since = 0  # bytes received since the head began, including the whole chunk it began in
    _held = 0  # bytes the parser consumed without a callback
    _last = 0  # bytes in the last chunk
    _chunk = b""  # while it is parsed
    _told = False
    _ignored = 0
    _problem: HookcastError | None = None
    _timer: asyncio.TimerHandle | None = None
    _timed: Stage | None = None  # the stage the timer is for
    _unread: Unread | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the deadline for the first request head. uvicorn's own looks up the addresses in a costly way."""
        self.connections.add(self)
        self.transport, self.flow = transport, FlowControl(transport)
        self.server, self.client = addresses(transport)  # type: ignore[assignment] # a Unix socket has no port
        self.scheme = "http" if transport.get_extra_info("sslcontext") is None else "https"
        self._await(Stage.HEAD)
        self.config.idle.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Disconnect all requests of the connection, not only the newest: none may be answered from now on."""
        self._give_up()
        self._stop_timers()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        if self._answered is not None:
            self._answered.scope["extensions"] = {}  # the hand-over offer refers to this protocol
        self._forget()
        self.transport = self.flow = None  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Parse the data, and limit what the parser buffers."""
        if self._stage is Stage.NOTHING:
            return self._ignore(len(data))
        self._last, self._told = len(data), False
        self._since += len(data)
        self._chunk = data
        super().data_received(data)
        self._chunk = b""
        if self.transport.is_closing() or self._over():
            return None
        self._held = 0 if self._told else self._held + len(data)
        problem = self._oversize() if self._stage is Stage.HEAD else None
        if problem is not None or self._held > MAX_HEAD_BYTES:
            return self._refuse(problem or too_large())
        return self._await_what_is_due()

    def on_message_begin(self) -> None:
        """Note the first byte of a request."""
        super().on_message_begin()
        self._stage, self._told, self._since = Stage.HEAD, True, self._last

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, without the blanks around its value (RFC 9110 section 5.5)."""
        super().on_header(name, value.strip(b" \t"))

    def on_headers_complete(self) -> None:
        """Start the request, unless it is an upgrade. Errors raised here end in `send_400_response`."""
        self._problem = self._oversize() or wrong_host(self.headers, self.parser.get_http_version())
        if self._problem is not None:
            raise self._problem
        super().on_headers_complete()
        self._stage, self._told = Stage.BODY, True
        if len(self.pipeline) > MAX_PIPELINED:
            raise BadRequest("Too many pipelined requests wait for earlier responses.")

    def on_body(self, body: bytes) -> None:
        """Pass body data to the application, or count it as ignored after the response."""
        self._told = True
        super().on_body(body)
        if self.cycle is not None and self.cycle.response_complete:  # type: ignore[redundant-expr]
            self._ignore(len(body))

    def on_message_complete(self) -> None:
        """Note the end of a request."""
        self._stage, self._told = Stage.START, True
        self.config.idle.discard(self)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Start the next wait: for the rest of the body, for the next request, or for the client to read."""
        super().on_response_complete()
        if not self._owing():
            self.config.idle.add(self)
        if self.transport.get_write_buffer_size():
            self._watch_reader()
        if self.transport.is_closing():
            return
        if self._stage is Stage.BODY and self.cycle.response_complete and self.expect_100_continue:
            self.transport.close()  # the body may or may not follow (RFC 9110 section 10.1.1)
        elif self._stage is not Stage.START:
            self._unset_keepalive_if_required()
            self._await_what_is_due()

    def pause_writing(self) -> None:
        """Start the deadline for the client to read."""
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        """Note that the client has read."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.progress()

    def send_400_response(self, msg: str) -> None:
        """Refuse a request that cannot be parsed; uvicorn calls this."""
        self._refuse(self._problem or BadRequest(msg))

    def handle_websocket_upgrade(self) -> None:
        """Upgrade, unless an earlier request is unanswered: both would own the connection (RFC 6455 section 4.1)."""
        if self._owing():
            self._give_up()
            self.transport.close()
            return None
        self._stop_timers()
        try:
            accept = accept_key(self.scope["method"], self.parser.get_http_version(), self.headers)
            scope = scope_of(self)
        except BadRequest as error:
            return self._refuse(error)
        handshake = Handshake(self, scope, accept)
        if self.flow.write_paused:  # an earlier response is unread, and only this protocol knows
            handshake.pause_writing()
        handshake.start(self, self._chunk[end_of_head() :])
        return self._forget()

    def _should_upgrade_to_ws(self) -> bool:
        return True

    def _take(self, stream: Stream) -> asyncio.Transport | None:
        transport, cycle = self.transport, self._answered
        if cycle is None:
            return None
        gone = cycle.disconnected or transport.is_closing()
        # With this set, uvicorn expects no response from the task. By itself uvicorn sets it only for the last of
        # several pipelined requests when the client disconnects.
        cycle.disconnected = True
        if gone or cycle.response_started:
            return None
        self.pipeline.clear()  # the connection closes with the stream (RFC 9112 section 9.6)
        if self.flow.write_paused:
            stream.pause_writing()
        self.flow.resume_reading()
        self._unset_keepalive_if_required()
        self._stop_timers()
        cycle.scope["extensions"] = {}
        self._forget()
        return hand_over(self, transport, stream)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Offer the hand-over, without a reference from the request to itself: no cycles for the garbage collector."""
        self._answered = cycle
        cycle.scope["extensions"] = {HANDOVER: {"take": self._take}}
        super()._start_asgi_task(cycle, app)

    def _give_up(self) -> None:
        """Stop answering: signal a disconnect to the current request, and drop those queued behind it."""
        self.pipeline.clear()
        if self._answered is not None and not self._answered.response_complete:
            self._answered.disconnected = True
            self._answered.message_event.set()

    def _forget(self) -> None:
        """Break reference cycles, so that nothing is left to the garbage collector."""
        self.config.idle.discard(self)
        self.cycle = self.parser = self.scope = self._answered = None  # type: ignore[assignment]

    def _over(self) -> bool:
        """Return whether the connection was refused, or has another protocol now."""
        return self._stage is Stage.NOTHING or self.parser is None

    def _owing(self) -> bool:
        """Return whether a request has been read but not answered yet."""
        return self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]

    def _oversize(self) -> HookcastError | None:
        """Return the error if the head exceeds a limit, as far as it has been parsed."""
        return oversize(self.url, self.headers, self._since)

    def _refuse(self, problem: HookcastError) -> None:
        """Respond with the problem and close the connection.

        Behind an unanswered request the problem would be taken for its response: only close (RFC 9112 section 9.3.2).
        If the body of the unanswered request itself is refused, the problem is its response.
        """
        stage, self._stage = self._stage, Stage.NOTHING
        behind = bool(self.pipeline) or (self._owing() and (stage is not Stage.BODY or self.cycle.response_started))
        self._unset_keepalive_if_required()
        self._give_up()
        if behind:
            self.transport.close()
            return
        scope = scope_read(self)
        self.transport.write(last_words(problem, self.server_state.default_headers, scope))
        if self.config.logs_requests:
            log_refused(scope, problem.status)
        self.config.idle.add(self)
        self._watch_reader()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._await(Stage.NOTHING)

    def _ignore(self, size: int) -> None:
        self._ignored += size
        if self._ignored > MAX_IGNORED_BYTES:
            self.transport.abort()

    def _await_what_is_due(self) -> None:
        """Start the deadline that applies now: none while a request is being answered, as its handler sets its own."""
        if self._owing():
            self._await(None)
        else:
            self._await(Stage.BODY if self._stage is Stage.BODY else Stage.HEAD)

    def _await(self, what: Stage | None) -> None:
        """Start the deadline of a stage, or none. One that already runs is not extended by data that arrives."""
        if what is self._timed:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timed, self._timer = what, None
        if what is not None:
            deadlines = self.config.deadlines
            seconds = deadlines.head if what is Stage.HEAD else deadlines.ignored
            self._timer = self.loop.call_later(seconds, self._on_late)

    def _on_late(self) -> None:
        self._timer = self._timed = None
        if self._stage is Stage.HEAD:
            self._refuse(HeadTimeout(f"The request head must arrive within {self.config.deadlines.head:g} s."))
        elif self._stage is Stage.NOTHING:
            self.transport.abort()
        else:
            self.transport.close()

    def _watch_reader(self) -> None:
        if self._unread is None:
            self._unread = Unread(self.transport, self.loop, self.config.deadlines.unread)
        self._unread.watch()

    def _stop_timers(self) -> None:
        self._await(None)
        if self._unread is not None:
            self._unread.stop()
            self._unread = None
