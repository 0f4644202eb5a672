"""What the handlers work with, opened by the app's lifespan."""

from dataclasses import dataclass, field

from starlette.requests import Request

from hookcast.buckets import Buckets
from hookcast.bus import Bus
from hookcast.dispatcher import Dispatcher
from hookcast.fal.keys import FalKeys
from hookcast.fal.queue import FalQueue
from hookcast.jobs import Clock
from hookcast.metrics import Metrics
from hookcast.push import Engine
from hookcast.settings import Settings
from hookcast.store import JobStore
from hookcast.submitter import Submitter

KEPT_SIGNATURES = 10_000


class Heard:
    """Which signatures came before: fal repeats a webhook, anybody may repeat one, and the log says it once."""

    def __init__(self, kept: int = KEPT_SIGNATURES) -> None:
        self._kept = kept
        self._seen: dict[tuple[str, str], None] = {}

    def first(self, request_id: str, signature: str) -> bool:
        """Whether this is the first time, of the last `kept` ones."""
        if (request_id, signature) in self._seen:
            return False
        self._seen[request_id, signature] = None
        if len(self._seen) > self._kept:
            del self._seen[next(iter(self._seen))]
        return True


@dataclass(frozen=True, slots=True)
class Services:
    """One node's parts. `queue` is None without a FAL_KEY.

    `cancelling` holds the jobs for which fal is being asked to cancel: its webhook may be faster than its answer.
    `heard` holds the signatures of the last webhooks. `submitting` bounds how often a caller submits; None = nothing.
    """

    settings: Settings
    clock: Clock
    store: JobStore
    bus: Bus
    engine: Engine
    dispatcher: Dispatcher
    submitter: Submitter
    keys: FalKeys
    queue: FalQueue | None
    cancelling: set[str] = field(default_factory=set)
    heard: Heard = field(default_factory=Heard)
    submitting: Buckets | None = None
    metrics: Metrics = field(default_factory=Metrics)


def services(request: Request) -> Services:
    """The services of the app that this request came to."""
    found: Services = request.state.services
    return found
