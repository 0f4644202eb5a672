"""Shared parts of both protocols: configuration, the hand-over, and the refusal of a connection."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hookcast.errors import HookcastError
from hookcast.logs.requests import HEADER, REQUEST_ID, identify
from hookcast.problems import answer
from hookcast.push.stream import Stream
from hookcast.serving.idle import Idle


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Deadlines for the client of a connection, in seconds.

    `head`: from the connection, or from the first byte of a later request, to the end of the request head.
    `keep_alive`: from a response to the first byte of the next request. `ignored`: from a refusal to the end of what
    the client is still sending, so that it reads the response before the connection closes. `unread`: without reading
    a byte of a response.
    """

    head: float = 10.0
    keep_alive: float = 5.0
    ignored: float = 5.0
    unread: float = 60.0


class Config(uvicorn.Config):
    """uvicorn's configuration, plus what Hookcast's protocols need."""

    deadlines: Deadlines = Deadlines()
    idle: Idle
    logs_requests = False


Address = tuple[str, int | None]


def addresses(transport: asyncio.Transport) -> tuple[Address | None, Address | None]:
    """Return the server's and the client's address of a connection, as ASGI's scope has them.

    Not from its socket, as uvicorn does: uvloop copies the descriptor for each look-up, which takes longer than parsing
    a request.
    """
    return _address(transport.get_extra_info("sockname")), _address(transport.get_extra_info("peername"))


def _address(name: object) -> Address | None:
    if isinstance(name, tuple):
        return name[0], name[1]
    return (name, None) if isinstance(name, str) and name else None  # a Unix socket


class Giver(Protocol):
    """A protocol that gives its connection to a stream; it is in the server's set of `connections`."""

    connections: set[Any]


def hand_over(giver: Giver, transport: asyncio.Transport, stream: Stream) -> asyncio.Transport:
    """Make the stream the connection's protocol, and register it for the server's shutdown."""
    giver.connections.discard(giver)
    giver.connections.add(stream)
    stream.connections = giver.connections
    transport.set_protocol(stream)
    return transport


def scope_read(http: HttpToolsProtocol) -> dict[str, Any]:
    """Return the scope of the newest request, as far as it was read."""
    scope: dict[str, Any] = {"type": "http", "method": "", "headers": [], "client": http.client}
    if http.scope is not None:
        scope = cast("dict[str, Any]", http.scope)
        scope.setdefault("method", "")
        scope.setdefault("path", http.url.partition(b"?")[0].decode("latin-1"))
    return scope


def last_words(problem: HookcastError, more: list[tuple[bytes, bytes]], scope: dict[str, Any]) -> bytes:
    """Return the problem as a complete HTTP/1.1 response with `Connection: close`; `more` are extra headers.

    `scope` is that of the request, as far as it is known.
    """
    response = answer(problem)
    status = HTTPStatus(problem.status)
    if REQUEST_ID not in scope:
        scope[REQUEST_ID] = identify(scope["headers"])
    headers = [*more, *response.raw_headers, (HEADER, scope[REQUEST_ID]), (b"connection", b"close")]
    lines = [f"HTTP/1.1 {status} {status.phrase}".encode(), *(b"%b: %b" % pair for pair in headers)]
    return b"\r\n".join([*lines, b"", cast("bytes", response.body)])
