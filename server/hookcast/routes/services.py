"""The services that handlers use, opened by the app's lifespan once the database answers."""

from collections import OrderedDict
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from hookcast.buckets import Buckets
from hookcast.bus import Bus
from hookcast.dispatcher import Dispatcher
from hookcast.errors import StoreUnavailable
from hookcast.fal.keys import FalKeys
from hookcast.fal.queue import FalQueue
from hookcast.jobs import Clock
from hookcast.logs import Throttle
from hookcast.media.parts import Media
from hookcast.metrics import Metrics
from hookcast.push import Engine
from hookcast.routes.bodies import Bodies
from hookcast.settings import Settings
from hookcast.store import JobStore
from hookcast.submitter import Submitter
from hookcast.upkeep.asking import Asking
from hookcast.upkeep.readiness import Readiness
from hookcast.upkeep.scribe import Scribe

KEPT_SIGNATURES = 10_000


class Heard:
    """Signatures of recent webhooks, so that one that fal retries or a third party replays is logged once."""

    def __init__(self, kept: int = KEPT_SIGNATURES) -> None:
        self._kept = kept
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()

    def knows(self, request_id: str, signature: str) -> bool:
        """Return whether the signature is among the last `kept` ones."""
        return (request_id, signature) in self._seen

    def first(self, request_id: str, signature: str) -> bool:
        """Return whether the signature is not among the last `kept` ones, and remember it."""
        if (request_id, signature) in self._seen:
            return False
        self._seen[request_id, signature] = None
        if len(self._seen) > self._kept:
            self._seen.popitem(last=False)
        return True


@dataclass(frozen=True, slots=True)
class Services:
    """The services of one node. `queue` and `asking` are None without a FAL_KEY.

    `scribe` writes what the journal gets without a change of a job.

    `webhooks` and `uploads` are the bodies being received, of strangers and of authorized callers. `heard` holds the
    signatures of recent webhooks. `submitting` is the rate limit of submits per caller; None = no limit.
    `media` keeps files; None = no storage.
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
    asking: Asking | None
    scribe: Scribe
    readiness: Readiness
    webhooks: Bodies
    uploads: Bodies
    heard: Heard = field(default_factory=Heard)
    submitting: Buckets | None = None
    metrics: Metrics = field(default_factory=Metrics)
    media: Media | None = None


class Node:
    """A node, which answers before it has its services: `trouble` is the error of the last attempt to open them.

    `refusals` logs the webhooks that strangers send.
    """

    def __init__(self, clock: Clock, services: Services | None = None) -> None:
        self.clock = clock
        self.trouble: StoreUnavailable | None = None
        self.refusals = Throttle()
        self._services = services

    @property
    def ready(self) -> bool:
        """True once the services are open."""
        return self._services is not None

    def begin(self, services: Services) -> None:
        """Use these services from now on."""
        self._services = services

    @property
    def services(self) -> Services:
        """The services. Raises StoreUnavailable while they are not open."""
        if self._services is None:
            raise StoreUnavailable("The server is starting, and waits for its database.")
        return self._services


def node_of(connection: HTTPConnection) -> Node:
    """Return the node that serves a connection."""
    found: Node = connection.scope["state"]["node"]
    return found


def services(connection: HTTPConnection) -> Services:
    """Return the services of the node. Raises StoreUnavailable while they are not open."""
    found: Node = connection.scope["state"]["node"]
    return found.services
