"""Pub/sub of states from the dispatcher to the hubs with subscribers: a fast path, never the source of truth."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hookcast.bus.base import ALL_TOPIC, Bus, Condition, Deliver, feed_topics, group_topic, job_topic, owner_topic
from hookcast.bus.local import LocalBus

__all__ = [
    "ALL_TOPIC",
    "Bus",
    "Condition",
    "Deliver",
    "LocalBus",
    "feed_topics",
    "group_topic",
    "job_topic",
    "open_bus",
    "owner_topic",
]


@asynccontextmanager
async def open_bus(url: str | None, deployment: str, deliver: Deliver) -> AsyncIterator[Bus]:
    """Open the deployment's bus at `url`; None = a bus within this process."""
    if url is None:
        yield LocalBus(deliver)
        return
    from hookcast.bus.redis import open_redis_bus  # noqa: PLC0415 - a tenth of the start-up time

    async with open_redis_bus(url, deployment, deliver) as bus:
        yield bus
