"""What the handlers work with, opened by the app's lifespan."""

import asyncio
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from starlette.requests import Request

from hookcast.bus import Bus
from hookcast.collector import Collector
from hookcast.dispatcher import Dispatcher
from hookcast.fal.keys import FalKeys
from hookcast.fal.queue import FalQueue
from hookcast.jobs import Clock
from hookcast.push import Engine
from hookcast.settings import Settings
from hookcast.store import JobStore


@dataclass(frozen=True, slots=True)
class Services:
    """One node's parts. `queue` is None without a FAL_KEY.

    `submits` holds a lock for each Idempotency-Key that is being answered, and forgets it with its last user. `taken`
    holds the requestIds of keys that fal took while the database was away, until the next keyed submit stores them.
    `cancelling` holds the jobs for which fal is being asked to cancel: its webhook may be faster than its answer.
    """

    settings: Settings
    clock: Clock
    store: JobStore
    bus: Bus
    engine: Engine
    dispatcher: Dispatcher
    collector: Collector
    keys: FalKeys
    queue: FalQueue | None
    submits: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)
    taken: dict[str, str] = field(default_factory=dict)
    cancelling: set[str] = field(default_factory=set)


def services(request: Request) -> Services:
    """The services of the app that this request came to."""
    found: Services = request.state.services
    return found
