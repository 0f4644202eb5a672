"""The interface of every bus."""

from collections.abc import Callable, Iterable
from typing import Literal, Protocol

from hookcast.wire import State

Deliver = Callable[[State], object]
"""Called on the event loop for each state of a subscribed topic; must neither block nor raise."""

Condition = Literal["ok", "degraded", "unavailable"]


def job_topic(request_id: str) -> str:
    """Return the topic of one job's states."""
    return f"job:{request_id}"


def group_topic(group: str) -> str:
    """Return the topic of all states of a group's jobs."""
    return f"group:{group}"


class Bus(Protocol):
    """Publish/subscribe by topic, one subscription per node.

    Delivery is at most once and may fail silently: the store is the source of truth, and a subscriber that missed a
    state gets the next one or reads the store. States of one job published by one node arrive in version order. States
    published by several nodes may arrive in any order, and a state may arrive twice, for its job and for its group:
    receivers drop states that are not newer.
    """

    @property
    def condition(self) -> Condition:
        """`ok` while the states of all other nodes arrive; `degraded` while some servers of a cluster are away."""

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Subscribe to the topics: states published after this returns are delivered. Idempotent."""

    def unsubscribe(self, topics: Iterable[str]) -> None:
        """Unsubscribe from the topics soon, without waiting for the bus. Idempotent."""

    async def publish(self, state: State) -> None:
        """Publish a committed state to every node subscribed to its job or group, without waiting for them."""
