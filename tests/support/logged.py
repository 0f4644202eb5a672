"""What the log says of requests."""

from typing import Any

from support.access import API_KEY, SECRET
from support.raw import raw
from support.server import Node

JOB = "019f6af7-5d0c-7e52-9f6e-0d9a3c1b2e4f"
KEYS = {"api_keys": API_KEY, "token_secret": SECRET}


def of(lines: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    """Return the lines of one event."""
    return [line for line in lines if line["event"] == event]


async def exchange(node: Node, request: str) -> str:
    """Return what a connection gets for a request, until the server closes it."""
    async with raw(node) as client:
        await client.send(request.encode())
        while await client.more():
            pass
        return client.seen.decode()
