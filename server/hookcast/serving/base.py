"""Shared parts of both protocols: configuration, the hand-over, and the refusal of a connection."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

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


def hand_over(
    giver: HttpToolsProtocol | WebSocketsSansIOProtocol, transport: asyncio.Transport, stream: Stream
) -> asyncio.Transport:
    """Make the stream the connection's protocol, and register it for the server's shutdown."""
    giver.connections.discard(giver)
    giver.connections.add(stream)  # type: ignore[arg-type]
    stream.connections = giver.connections  # type: ignore[assignment]
    transport.set_protocol(stream)
    return transport


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
