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


def owner_topic(owner: str) -> str:
    """Return the topic of all states of an owner's jobs."""
    return f"owner:{owner}"


ALL_TOPIC = "all"
"""The topic of all states of all jobs."""


def feed_topics(owner: str | None, group: str | None) -> list[str]:
    """Return the topics of many jobs that a job with this owner and group belongs to."""
    topics = [ALL_TOPIC]
    if owner is not None:
        topics.append(owner_topic(owner))
    if group is not None:
        topics.append(group_topic(group))
    return topics


class Bus(Protocol):
    """Publish/subscribe by topic, one subscription per node.

    Delivery is at most once and may fail silently: the store is the source of truth, and a subscriber that missed a
    state gets the next one or reads the store. States of one job published by one node arrive in version order. States
    published by several nodes may arrive in any order, and a state may arrive once for each of its topics: receivers
    drop states that are not newer.
    """

    @property
    def condition(self) -> Condition:
        """`ok` while states of other nodes arrive here, and ours there; `degraded` while only some do."""

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Subscribe to the topics: states published after this returns are delivered. Idempotent."""

    def unsubscribe(self, topics: Iterable[str]) -> None:
        """Unsubscribe from the topics soon, without waiting for the bus. Idempotent."""

    async def publish(self, state: State) -> None:
        """Publish a committed state to every node subscribed to one of its topics, without waiting for them."""
