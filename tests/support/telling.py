"""A node that tells a backend, and waiting until that has been told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from hookcast.consequences import Kind
from support.fal import FalDouble
from support.receiver import SECRET, Receiver
from support.server import DEADLINE, Node, running_node


async def settled(node: Node, kind: Kind = Kind.TELL) -> None:
    """Wait until no work of this kind is left."""
    async with asyncio.timeout(DEADLINE):
        while await node.services.store.work.waiting(kind):  # noqa: ASYNC110 - a database has no event
            await asyncio.sleep(0.005)


@asynccontextmanager
async def telling(receiver: Receiver, fal: FalDouble, database_url: str, **settings: Any) -> AsyncIterator[Node]:
    """A node that tells the receiver."""
    given = {"forward_url": f"{receiver.url}/hook?from=hookcast", "forward_secret": SECRET, **settings}
    async with running_node(fal, database_url=database_url, **given) as node:
        yield node


async def end(node: Node, name: str, **fields: Any) -> None:
    """Send the webhook that ends a job."""
    assert (await node.post_webhook(node.fal.webhook(name, **fields))).status_code == 200


async def put_off(node: Node) -> None:
    """Wait until an event waits for its next attempt."""
    async with asyncio.timeout(DEADLINE):
        while (await node.services.store.work.next_due([Kind.TELL])).get(Kind.TELL, 0.0) < 60:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def until_waiting(node: Node, count: int, kind: Kind = Kind.TELL) -> None:
    """Wait until so many pieces of this kind are left."""
    async with asyncio.timeout(DEADLINE):
        while await node.services.store.work.waiting(kind) != count:  # noqa: ASYNC110 - a database has no event
            await asyncio.sleep(0.005)


def types(receiver: Receiver) -> list[str]:
    """What was told, in order."""
    return [event["type"] for event in receiver.events]
