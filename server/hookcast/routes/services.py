"""What the handlers work with, opened by the app's lifespan."""

from dataclasses import dataclass

from starlette.requests import Request

from hookcast.bus import Bus
from hookcast.collector import Collector
from hookcast.dispatcher import Dispatcher
from hookcast.fal.keys import FalKeys
from hookcast.fal.queue import FalQueue
from hookcast.jobs import Clock
from hookcast.push import Hub
from hookcast.settings import Settings
from hookcast.store import JobStore


@dataclass(frozen=True, slots=True)
class Services:
    """One node's parts. `queue` is None without a FAL_KEY."""

    settings: Settings
    clock: Clock
    store: JobStore
    bus: Bus
    hub: Hub
    dispatcher: Dispatcher
    collector: Collector
    keys: FalKeys
    queue: FalQueue | None


def services(request: Request) -> Services:
    """The services of the app that this request came to."""
    found: Services = request.state.services
    return found
