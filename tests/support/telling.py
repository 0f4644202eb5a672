"""Waiting until a backend has been told."""

import asyncio

from hookcast.consequences import Kind
from support.server import DEADLINE, Node


async def settled(node: Node, kind: Kind = Kind.TELL) -> None:
    """Wait until no work of this kind is left."""
    async with asyncio.timeout(DEADLINE):
        while await node.services.store.work.waiting(kind):  # noqa: ASYNC110 - a database has no event
            await asyncio.sleep(0.005)
