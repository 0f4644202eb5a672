"""Requests of a strange client, and what becomes of its connection."""

import json
from typing import Any

from support.fal import forged
from support.raw import Raw, connections, get
from support.server import Node

UNFINISHED = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"


def post(path: str, body: bytes, *headers: str, length: int | None = None) -> bytes:
    """A request with a body, or with a part of it."""
    size = len(body) if length is None else length
    return get(path, f"Content-Length: {size}", *headers, method="POST") + body


def webhook(*headers: str) -> bytes:
    """The head of a webhook that looks like fal's, as anybody can make it."""
    return get("/api/webhooks/fal", *(f"{name}: {value}" for name, value in forged().items()), *headers, method="POST")


async def refused(client: Raw, status: int, code: str) -> None:
    """The connection ends with this problem, and says so."""
    seen = await client.rest()
    head, _, body = seen.rpartition(b"HTTP/1.1 ")[2].partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert lines[0].startswith(str(status))
    assert "connection: close" in lines
    assert "content-type: application/problem+json" in lines
    assert json.loads(body)["code"] == code
    assert json.loads(body)["status"] == status


def of_strangers(node: Node) -> list[Any]:
    """Connections that are no streams; not those of the test's own HTTP client."""
    return [each for each in connections(node) if _peer(each) not in _own(node)]


def _peer(connection: Any) -> Any:
    transport = connection.transport
    return None if transport is None else transport.get_extra_info("peername")


def _own(node: Node) -> set[Any]:
    pool = node.client._transport._pool  # type: ignore[attr-defined]
    return {each._connection._network_stream.get_extra_info("client_addr") for each in pool.connections}
