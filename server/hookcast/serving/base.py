"""What both protocols need: their configuration, the hand-over, and how a connection is refused."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from hookcast.errors import HookcastError
from hookcast.problems import answer
from hookcast.push.stream import Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """For how many seconds a connection waits for its client.

    `head`: from the connection, or from the first byte of a later request, to the end of the request's head.
    `keep_alive`: from an answer to the first byte of the next request. `ignored`: from a refusal to the end of what the
    client is still sending, so that it reads the answer before it finds the connection closed. `unread`: without
    taking a byte of an answer.
    """

    head: float = 10.0
    keep_alive: float = 5.0
    ignored: float = 5.0
    unread: float = 60.0


class Config(uvicorn.Config):
    """uvicorn's, which every protocol has, and what our own ones need."""

    deadlines: Deadlines = Deadlines()


def hand_over(
    giver: HttpToolsProtocol | WebSocketsSansIOProtocol, transport: asyncio.Transport, stream: Stream
) -> asyncio.Transport:
    """Make the stream the protocol of the connection, and what the server shuts down."""
    giver.connections.discard(giver)
    giver.connections.add(stream)  # type: ignore[arg-type]
    stream.connections = giver.connections  # type: ignore[assignment]
    transport.set_protocol(stream)
    return transport


def last_words(problem: HookcastError, more: list[tuple[bytes, bytes]]) -> bytes:
    """The problem as a whole HTTP/1.1 response that ends the connection; `more` are further headers."""
    response = answer(problem)
    status = HTTPStatus(problem.status)
    headers = [*more, *response.raw_headers, (b"connection", b"close")]
    lines = [f"HTTP/1.1 {status} {status.phrase}".encode(), *(b"%b: %b" % pair for pair in headers)]
    return b"\r\n".join([*lines, b"", cast("bytes", response.body)])
