"""What every bus promises."""

from collections.abc import Callable
from typing import Protocol

from hookcast.wire import State

Deliver = Callable[[State], None]
"""Called on the event loop for each state of a subscribed job; must neither block nor raise."""


class Bus(Protocol):
    """Publish/subscribe by requestId, one subscription a node.

    Delivery is at most once and may fail silently: the store is the truth, and a watcher that missed a state gets the
    next one or reads the store. States of one job published by one node arrive in the order of their versions; those of
    several nodes may arrive in any order, so whoever receives them drops what is not newer.
    """

    async def subscribe(self, request_id: str) -> None:
        """States published after this returns are delivered. Idempotent."""

    async def unsubscribe(self, request_id: str) -> None:
        """Stop the deliveries of this job. Idempotent."""

    async def publish(self, state: State) -> None:
        """Hand a committed state to every node that subscribed to its job; returns without waiting for them."""
