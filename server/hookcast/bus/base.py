"""What every bus promises."""

from collections.abc import Callable, Iterable
from typing import Protocol

from hookcast.wire import State

Deliver = Callable[[State], object]
"""Called on the event loop for each state of a subscribed topic; must neither block nor raise."""


def job_topic(request_id: str) -> str:
    """The topic of one job's states."""
    return f"job:{request_id}"


def group_topic(group: str) -> str:
    """The topic of all states of a group's jobs."""
    return f"group:{group}"


class Bus(Protocol):
    """Publish/subscribe by topic, one subscription a node.

    Delivery is at most once and may fail silently: the store is the truth, and a watcher that missed a state gets the
    next one or reads the store. States of one job published by one node arrive in the order of their versions; those of
    several nodes may arrive in any order, and a state may arrive once for its job and once for its group: whoever
    receives them drops what is not newer.
    """

    @property
    def live(self) -> bool:
        """Whether the states of other nodes arrive."""

    async def subscribe(self, topics: Iterable[str]) -> None:
        """States published after this returns are delivered. Idempotent."""

    def unsubscribe(self, topics: Iterable[str]) -> None:
        """Stop the deliveries of these topics soon. Idempotent; returns without waiting for the bus."""

    async def publish(self, state: State) -> None:
        """Hand a committed state to every node that subscribed to its job or group; does not wait for them."""
