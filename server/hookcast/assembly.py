"""Assembles the services of a node, in order, and closes them in reverse."""

import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, closing, nullcontext
from functools import partial
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx

from hookcast.auth import Gate, Provider
from hookcast.auth.published import parse_keys
from hookcast.background import background
from hookcast.buckets import Buckets
from hookcast.bus import Bus, open_bus
from hookcast.dispatcher import Dispatcher
from hookcast.errors import SettingsError
from hookcast.fal.keys import FalKeys
from hookcast.fal.queue import FalQueue
from hookcast.forward.sending import senders
from hookcast.jobs import Clock
from hookcast.journal import Notebook, Refusals
from hookcast.jwks import PublishedKeys
from hookcast.keeping import Keeping
from hookcast.media.parts import Media, open_media
from hookcast.metrics import Metrics
from hookcast.outcomes import Outcomes
from hookcast.outgoing import http_client
from hookcast.push import Admission, Engine, Hub
from hookcast.routes import openapi
from hookcast.routes.bodies import CALLERS, STRANGERS, Bodies
from hookcast.routes.services import Services
from hookcast.settings import Settings, export_cloud_variables
from hookcast.store import JobStore, open_store
from hookcast.submitter import Submitter
from hookcast.tasks import beside
from hookcast.upkeep.asking import Asking
from hookcast.upkeep.readiness import Readiness
from hookcast.upkeep.scribe import Scribe
from hookcast.urls import is_loopback
from hookcast.wire import encode

HTTP_TIMEOUT = httpx.Timeout(10.0, connect=5.0)
HTTP_LIMITS = httpx.Limits(max_connections=512, max_keepalive_connections=32)


@asynccontextmanager
async def services(
    settings: Settings,
    admission: Admission,
    media: Media | None,
    clock: Clock,
    transport: httpx.AsyncBaseTransport | None,
) -> AsyncIterator[Services]:
    """Open the services and run what runs in the background. Raises StoreUnavailable when the database is away."""
    hub, name = Hub(admission.clock), _node_name()
    async with (
        open_store(settings.database_url.get_secret_value(), settings.database_schema, name) as store,
        open_bus(settings.bus_url, await store.deployment(), hub.hear) as bus,
        http_client(timeout=HTTP_TIMEOUT, limits=HTTP_LIMITS, transport=transport) as client,
    ):
        node = _made(_Grounds(settings, clock, admission, media, hub, store, bus, client))
        with nullcontext() if media is None else closing(media.turns), senders(clock) as send_to:
            works = background(node, name, send_to)
            async with aclosing(node.keys), aclosing(node.engine.gate), node.engine.running(), beside(*works):
                yield node


class _Grounds(NamedTuple):
    """What the services of a node stand on; `media` keeps files, None = no storage."""

    settings: Settings
    clock: Clock
    admission: Admission
    media: Media | None
    hub: Hub
    store: JobStore
    bus: Bus
    client: httpx.AsyncClient


def _made(on: _Grounds) -> Services:
    """Make the services. Nothing of them runs yet."""
    settings, clock, admission, media, hub, store, bus, client = on
    notebook, refused = Notebook(clock), Refusals(clock)
    queue = _queue(settings, client)
    show = partial(encode, link=None if media is None else media.links)
    keeping = None if media is None else Keeping(settings.kept_endpoints)
    dispatcher = Dispatcher(store, bus, clock, show, keeping, tells=settings.told_events)
    keys = FalKeys(client, settings.fal_jwks_url, store, clock, user_id=settings.fal_user_id)
    push = Engine(admission, hub, store, bus, _gate(settings, client, store, clock), notebook, show=show)
    return Services(
        settings,
        clock,
        store,
        bus,
        push,
        dispatcher,
        _submitter(on, dispatcher, queue, notebook),
        keys,
        queue,
        None if queue is None else Asking(queue, clock, notebook),
        Scribe(store, notebook, refused),
        Readiness(store, keys),
        webhooks=Bodies(settings.max_webhook_bytes, STRANGERS),
        uploads=Bodies(settings.max_webhook_bytes, CALLERS),
        submitting=_submitting(settings, push),
        metrics=_metrics(settings),
        media=media,
    )


def _submitter(on: _Grounds, dispatcher: Dispatcher, queue: FalQueue | None, notebook: Notebook) -> Submitter:
    return Submitter(
        on.store,
        dispatcher,
        Outcomes(on.store, dispatcher),
        queue,
        webhook_url=on.settings.webhook_url,
        clock=on.clock,
        notebook=notebook,
        keeps_inputs=on.settings.keep_inputs,
    )


def _node_name() -> str:
    """Return a name of this process that an operator recognizes, and no other process has."""
    return f"{socket.gethostname()[:47]}-{secrets.token_hex(4)}"


def media_of(settings: Settings) -> Media | None:
    """Return what keeps files. Raises SettingsError."""
    if settings.media_url is None:
        return None
    export_cloud_variables()
    try:
        return open_media(
            settings.media_url.get_secret_value(),
            settings.media_public_url,
            served_at=f"{settings.public_url or ''}/media",
            link_seconds=settings.media_link_seconds,
            max_bytes=settings.media_max_bytes,
            concurrency=settings.media_concurrency,
            allow_local=is_loopback(urlsplit(settings.fal_queue_url).hostname or ""),
        )
    except ValueError as error:
        raise SettingsError(f"Wrong settings: HOOKCAST_MEDIA_URL: {error}") from None


def _submitting(settings: Settings, push: Engine) -> Buckets | None:
    count = settings.submits_per_minute
    return None if count is None else Buckets(push.clock, rate=count / 60, burst=count)


def _metrics(settings: Settings) -> Metrics:
    return Metrics(
        settings.metrics_folder,
        webhooks=openapi.codes("post", "/api/webhooks/fal"),
        submits=openapi.codes("post", "/api/fal-jobs"),
    )


def _queue(settings: Settings, client: httpx.AsyncClient) -> FalQueue | None:
    if settings.fal_key is None:
        return None
    key, limit = settings.fal_key.get_secret_value(), settings.max_webhook_bytes
    return FalQueue(client, settings.fal_queue_url, key, max_result_bytes=limit)


def _gate(settings: Settings, client: httpx.AsyncClient, store: JobStore, clock: Clock) -> Gate:
    providers = settings.providers
    published = {
        url: PublishedKeys(client, url, store, clock, parse_keys) for url in {trust.jwks_url for trust in providers}
    }
    return Gate(
        lambda: clock().timestamp(),
        api_keys=settings.keys,
        secrets=settings.secrets,
        providers=[Provider(published[trust.jwks_url], trust) for trust in providers],
    )
