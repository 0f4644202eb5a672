"""Runs ASGI applications with uvicorn: sockets, signals, drain, and the hand-over of connections to streams.

Everything that relies on uvicorn's inside is in the two protocol classes here.
"""

import asyncio
import contextlib
import errno
import gc
import ipaddress
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from hookcast.errors import SettingsError
from hookcast.push.inbox import MAX_MESSAGE_BYTES
from hookcast.push.stream import Stream
from hookcast.routes.handover import HANDOVER

GRACE_SECONDS = 1  # for requests that are still being answered once the streams have been drained


@dataclass(frozen=True, slots=True)
class Site:
    """One application on one bound socket. `drain` is called before its connections are closed."""

    app: Callable[..., object]
    listener: socket.socket
    drain: Callable[[], None] = lambda: None


def bind(host: str, port: int) -> socket.socket:
    """Listen on an address. Raises SettingsError with what to do when that is not possible."""
    try:
        family = socket.AF_INET6 if _is_v6(host) else socket.AF_INET
        return socket.create_server((host.strip("[]"), port), family=family, backlog=2048)
    except OSError as error:
        hint = "another program uses it; choose one with --port" if error.errno == errno.EADDRINUSE else str(error)
        raise SettingsError(f"Cannot listen on {host}:{port}: {hint}.") from None


def adopt(fd: int) -> socket.socket:
    """The listening socket that another process has bound. Raises SettingsError when it is none."""
    try:
        return socket.socket(fileno=fd)
    except OSError as error:
        raise SettingsError(f"--fd {fd} is no socket: {error}.") from None


def raise_open_files() -> int:
    """Raise the limit of open files to what the system allows this process, and answer it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):  # a limit that may not be raised is kept
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def run(*sites: Site, on_ready: Callable[[], None] = lambda: None) -> None:
    """Serve until SIGINT or SIGTERM; a second signal ends at once."""
    _tune_garbage_collection()
    with asyncio.Runner(loop_factory=uvicorn.Config(sites[0].app, log_config=None).get_loop_factory()) as runner:
        runner.run(_serve(sites, on_ready))


async def _serve(sites: tuple[Site, ...], on_ready: Callable[[], None]) -> None:
    servers = [Server(site, on_ready if site is sites[-1] else lambda: None) for site in sites]
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for server in servers:
            server.force_exit = server.should_exit
            server.should_exit = True

    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(server.serve(sockets=[server.site.listener])) for server in servers]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for server in servers:
            server.should_exit = True  # one that could not start takes the others along
    if not all(server.started for server in servers):
        raise SettingsError("The server could not start; the log says why.")


class Server(uvicorn.Server):
    """uvicorn with the signals left to `_serve`, and streams that are told before they are closed."""

    def __init__(self, site: Site, on_ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                site.app,
                http=HttpProtocol,
                ws=WebSocketProtocol,
                ws_max_size=MAX_MESSAGE_BYTES,
                ws_per_message_deflate=False,
                ws_ping_interval=None,  # streams have a heartbeat of their own
                lifespan="on",
                log_config=None,
                access_log=False,  # its lines would show query strings
                server_header=False,
                proxy_headers=False,  # nobody asks for the client's address
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        self.site = site
        self._on_ready = on_ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell the streams to come back later, then close."""
        self.site.drain()
        await super().shutdown(sockets)


def _tune_garbage_collection() -> None:
    """Collect less often, and little at a time: streams live long and are freed without it.

    Measured with 8,000 SSE streams opening: 240 µs of processor time a stream with Python's own thresholds, 155 µs
    with these. The second one bounds a pause: at 20 the p99 of 1,000 states/s to 10,000 streams was 10 ms, at 5 it is
    1 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 5, 1_000)


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, offering the connection of each request to the application (see routes/handover.py).

    `_answered` is the request that is being answered, or was last; `cycle` is the newest one that was read.
    """

    _answered: RequestResponseCycle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell all the requests of the connection, not only the newest: none may be answered into a closed one."""
        self._give_up()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        if self._answered is not None:
            self._answered.scope["extensions"] = {}  # the offer refers to this protocol
        self._forget()
        self.transport = self.flow = None  # type: ignore[assignment]

    def send_400_response(self, msg: str) -> None:
        """Behind an unanswered request a 400 would be taken for its answer: close (RFC 9112 section 9.3.2)."""
        current = self._answered
        behind = current is not None and not current.response_complete
        if current is not None and current is self.cycle and current.more_body and not current.response_started:
            behind = False  # it is the body of this very request that is no HTTP
        self._give_up()
        if behind:
            self.transport.close()
        else:
            super().send_400_response(msg)

    def handle_websocket_upgrade(self) -> None:
        """Refuse one that follows an unanswered request: both would have the connection (RFC 6455 section 4.1)."""
        if self.cycle is not None and not self.cycle.response_complete:  # type: ignore[redundant-expr] # None at first
            self._give_up()
            self.transport.close()
            return
        super().handle_websocket_upgrade()
        if self.flow.write_paused:  # an earlier answer is still unread, and only this protocol was told
            self.transport.get_protocol().pause_writing()
        self._forget()

    def _take(self, stream: Stream) -> asyncio.Transport | None:
        transport, cycle = self.transport, self._answered
        if cycle is None:
            return None
        gone = cycle.disconnected or transport.is_closing()
        # uvicorn then expects no response of the task any more. And it does not always notice by itself that a client
        # has gone: of pipelined requests it tells only the last one.
        cycle.disconnected = True
        if gone or cycle.response_started:
            return None
        self.pipeline.clear()  # the stream's end is the connection's end (RFC 9112 section 9.6)
        if self.flow.write_paused:
            stream.pause_writing()
        self.flow.resume_reading()
        self._unset_keepalive_if_required()
        cycle.scope["extensions"] = {}
        self._forget()
        return _hand_over(self, transport, stream)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Add the offer. The request must not refer to itself by it: each one would be left to the collector."""
        self._answered = cycle
        cycle.scope["extensions"] = {HANDOVER: {"take": self._take}}
        super()._start_asgi_task(cycle, app)

    def _give_up(self) -> None:
        """No more answers: the request under way is told that its client has gone, those behind it never begin."""
        self.pipeline.clear()
        if self._answered is not None and not self._answered.response_complete:
            self._answered.disconnected = True
            self._answered.message_event.set()

    def _forget(self) -> None:
        """Break what refers in circles, so that nothing is left for the garbage collector to find late."""
        self.cycle = self.parser = self.scope = self._answered = None  # type: ignore[assignment]


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, offering the connection once it was accepted."""

    _early = b""

    def data_received(self, data: bytes) -> None:
        """The first data is the request itself; what a client says before its 101 is kept for the stream."""
        if not self.handshake_initiated:
            return super().data_received(data)
        self._early += data
        return self.transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """No circles, as in HttpProtocol: the parser, a refusal's traceback, and the offer refer to each other."""
        super().connection_lost(exc)
        self.conn.parser.close()
        self.conn.handshake_exc = self.request = self.response = None  # type: ignore[assignment]
        getattr(self, "scope", {}).pop("extensions", None)

    async def run_asgi(self) -> None:
        """Add the offer to the scope."""
        self.scope["extensions"] = {**(self.scope["extensions"] or {}), HANDOVER: {"take": self._take}}
        await super().run_asgi()

    def _take(self, stream: Stream) -> asyncio.Transport | None:
        transport = self.transport
        if not self.handshake_complete or self.close_sent or self.disconnected or transport.is_closing():
            return None
        if self._early:
            stream.data_received(self._early)
        self.transport = _HandedOver()  # uvicorn closes its transport when the task ends
        self.conn.parser.close()  # as in HttpProtocol: no circles
        self.scope["extensions"] = {}
        self.scope = self.conn = None  # type: ignore[assignment]
        return _hand_over(self, transport, stream)


class _HandedOver(asyncio.Transport):
    """What is left to the protocol that gave its transport away."""

    def close(self) -> None:
        """Nothing to close."""


def _hand_over(
    giver: HttpProtocol | WebSocketProtocol, transport: asyncio.Transport, stream: Stream
) -> asyncio.Transport:
    giver.connections.discard(giver)
    giver.connections.add(stream)  # type: ignore[arg-type]
    stream.connections = giver.connections  # type: ignore[assignment]
    transport.set_protocol(stream)
    return transport


def _is_v6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).version == 6
    except ValueError:
        return False
