"""WebSocket up to the end of the handshake (RFC 6455 section 4.2); from then on a stream has the connection.

The request is parsed already when it arrives here. An application accepts and takes the connection, or refuses it:
there is no code for messages, which are the streams' own.
"""

import asyncio
import binascii
import sys
from base64 import b64decode, b64encode
from collections.abc import Sequence
from hashlib import sha1
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hookcast.errors import BadRequest, HookcastError
from hookcast.logs import get_logger, path_shown
from hookcast.push.handover import HANDOVER
from hookcast.push.stream import Stream
from hookcast.serving.base import hand_over, last_words

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_ASKED = frozenset({b"sec-websocket-key", b"sec-websocket-version", b"content-length", b"transfer-encoding"})
_SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
_log = get_logger(__name__)

Lines = Sequence[tuple[bytes, bytes]]


def accept_key(method: str, version: str, headers: Lines) -> bytes:
    """Return the Sec-WebSocket-Accept for a client's handshake (RFC 6455 section 4.2.2).

    Raises BadRequest for a handshake that is not valid.
    """
    asked = [header for header in headers if header[0] in _ASKED]
    found = dict(asked)
    plain = (method, version, found.get(b"sec-websocket-version")) == ("GET", "1.1", b"13")
    once = len(asked) == len(found)
    bodiless = found.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in found
    key = found.get(b"sec-websocket-key", b"")
    if not (plain and once and bodiless and _is_key(key)):
        raise BadRequest("The request is not a valid WebSocket handshake.")
    return b64encode(sha1(key + _GUID, usedforsecurity=False).digest())


def end_of_head() -> int:
    """Return where in its chunk the head of an upgrade ends: the parser's exception says it, while it is handled."""
    error = sys.exc_info()[1]
    return int(error.args[0]) if isinstance(error, httptools.HttpParserUpgrade) else sys.maxsize


def scope_of(http: HttpToolsProtocol) -> dict[str, Any]:
    """Return the scope of a handshake (ASGI, "WebSocket Connection Scope"). Raises BadRequest for a wrong URL."""
    try:
        url = httptools.parse_url(http.url)
    except httptools.HttpParserInvalidURLError:
        raise BadRequest("The URL is not valid.") from None
    known, path = cast("dict[str, Any]", http.scope), unquote(url.path.decode("ascii"))
    return {
        **{name: known[name] for name in ("asgi", "http_version", "server", "client", "root_path", "headers", "state")},
        "type": "websocket",
        "scheme": "wss" if http.scheme == "https" else "ws",
        "path": http.root_path + path,
        "raw_path": http.root_path.encode("ascii") + url.path,
        "query_string": url.query or b"",
        "subprotocols": _subprotocols(http.headers),
    }


def _subprotocols(headers: Lines) -> list[str]:
    """Return the subprotocols that a client offers (RFC 6455 section 11.3.4)."""
    offers = [value.decode("latin-1") for name, value in headers if name == b"sec-websocket-protocol"]
    return [name.strip() for offer in offers for name in offer.split(",")]


def _is_key(value: bytes) -> bool:
    try:
        return len(b64decode(value, validate=True)) == 16
    except binascii.Error:
        return False


class Handshake(asyncio.Protocol):
    """A connection whose client asks for a WebSocket, until the application has answered."""

    def __init__(self, http: HttpToolsProtocol, scope: dict[str, Any], accept: bytes) -> None:
        self.connections = http.connections
        self._transport: asyncio.Transport | None = http.transport
        self._app = http.config.loaded_app
        self._default_headers = http.server_state.default_headers
        self._accept = accept
        self._scope = scope
        scope["extensions"] = {"websocket.http.response": {}, HANDOVER: {"take": self._take}}
        self._asked = False
        self._status = 0  # of the response, once it has begun
        self._parts: list[bytes] = []
        self._early = b""
        self._paused = False
        self._gone = asyncio.Event()

    def start(self, http: HttpToolsProtocol, early: bytes) -> None:
        """Take the connection from the protocol that read the request, and `early` behind it; run the application."""
        http.connections.discard(http)
        http.connections.add(self)  # type: ignore[arg-type]
        http.transport.set_protocol(self)
        if early:
            self.data_received(early)
        task = http.loop.create_task(self._run())
        task.add_done_callback(http.tasks.discard)
        http.tasks.add(task)

    async def _run(self) -> None:
        """Run the application. Whatever it does, the connection then belongs to a stream or is closed."""
        try:
            await self._app(self._scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001 - trouble of one connection
            _log.error("request_crashed", path=path_shown(self._scope["path"]), exc_info=error)
            self._refuse(HookcastError("The server's log has the details."))
        finally:
            self._scope = {}  # refers to this object
            if self._transport is not None:
                self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Keep what a client sends before the 101 for the stream, and read no more."""
        self._early += data
        if self._transport is not None:
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        """Note that an earlier response is not read yet."""
        self._paused = True

    def resume_writing(self) -> None:
        """Note that it is."""
        self._paused = False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Tell the application that the client is gone."""
        self.connections.discard(self)
        self._transport = None
        self._gone.set()

    def shutdown(self) -> None:
        """Close: the server calls this when it shuts down."""
        if self._transport is not None:
            self._transport.close()

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "websocket.connect"}
        await self._gone.wait()
        return {"type": "websocket.disconnect", "code": 1006, "reason": ""}

    async def _send(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "websocket.accept" if not self._status:
                self._status = HTTPStatus.SWITCHING_PROTOCOLS
                protocol = message.get("subprotocol")
                chosen = [] if protocol is None else [(b"sec-websocket-protocol", protocol.encode())]
                lines = [(b"sec-websocket-accept", self._accept), *chosen, *message.get("headers", ())]
                self._write(_SWITCH + self._lines(lines))
            case "websocket.http.response.start" if not self._status:
                self._begin(message["status"], message.get("headers", ()))
            case "websocket.http.response.body":
                self._write(message.get("body", b""))
            case "websocket.close" if not self._status:
                self._begin(HTTPStatus.FORBIDDEN, [(b"content-length", b"0")])

    def _begin(self, status: int, headers: Lines) -> None:
        self._status = status
        first = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
        self._write(first + self._lines([*headers, (b"connection", b"close")]))

    def _refuse(self, problem: HookcastError) -> None:
        if not self._status:
            self._status = problem.status
            self._write(last_words(problem, self._default_headers, self._scope))

    def _lines(self, lines: Lines) -> bytes:
        return b"".join(b"%b: %b\r\n" % line for line in (*self._default_headers, *lines)) + b"\r\n"

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _take(self, stream: Stream) -> asyncio.Transport | None:
        transport = self._transport
        if transport is None or self._status != HTTPStatus.SWITCHING_PROTOCOLS or transport.is_closing():
            return None
        self._transport = None
        if self._paused:
            stream.pause_writing()
        if self._early:
            stream.data_received(self._early)
        return hand_over(self, transport, stream)
