"""Watches of the Python client."""

from typing import Any

from hookcast.client import (
    Hookcast,
    Job,
)
from support.fakes import Sleeper
from support.server import Node
from support.stand import job

DONE = job(4, "completed", result={"a": 1})


async def collect(client: Hookcast, name: str = "job-1", **options: Any) -> list[Job]:
    """All states that a watch gives."""
    return [seen async for seen in client.watch(name, **options)]


def quick(url: str, sleeper: Sleeper | None = None, **options: Any) -> Hookcast:
    """A client that does not pause for long."""
    values: dict[str, Any] = {"sleep": sleeper or Sleeper(free=True), "heartbeat": 0.2, "timeout": 5.0}
    return Hookcast(url, **values | options)


async def complete(node: Node, name: str = "job-1", **fields: Any) -> None:
    """Complete a job by its webhook."""
    body = node.fal.webhook(name, **{"payload": {"seed": 2**53 + 1}} | fields)
    assert (await node.post_webhook(body)).status_code == 200
