"""The ASGI application; its lifespan opens the parts in order and closes them in reverse."""

import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, closing, nullcontext
from datetime import UTC, datetime
from functools import partial
from typing import TypedDict
from urllib.parse import urlsplit

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.types import ASGIApp

from hookcast import problems
from hookcast.auth import Gate, Provider
from hookcast.auth.published import parse_keys
from hookcast.background import background
from hookcast.buckets import Buckets
from hookcast.bus import open_bus
from hookcast.dispatcher import Dispatcher
from hookcast.errors import HookcastError, SettingsError, StoreRefused
from hookcast.fal.keys import FalKeys
from hookcast.fal.queue import FalQueue
from hookcast.forward.sending import senders
from hookcast.jobs import Clock
from hookcast.journal import Notebook, Refusals
from hookcast.jwks import PublishedKeys
from hookcast.keeping import Keeping
from hookcast.logs import hold_secrets
from hookcast.media.parts import Media, open_media
from hookcast.media.storage.local import LocalStorage
from hookcast.metrics import Metrics
from hookcast.opening import Opening
from hookcast.outcomes import Outcomes
from hookcast.outgoing import http_client
from hookcast.push import Admission, Engine, Hub, Limits
from hookcast.routes import (
    actions,
    health,
    jobs,
    journal,
    openapi,
    redeliver,
    retry,
    submit,
    tokens,
    webhooks,
    websocket,
)
from hookcast.routes import sse as streams
from hookcast.routes.bodies import CALLERS, STRANGERS, Bodies
from hookcast.routes.credentials import WEBHOOK_PATH, cors
from hookcast.routes.entry import Busy, EnteredApp, Raised, answering
from hookcast.routes.media import KeptFiles
from hookcast.routes.methods import WrongMethods
from hookcast.routes.pages import Pages
from hookcast.routes.services import Node, Services
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


class LifespanState(TypedDict):
    """The lifespan state that every request receives."""

    node: Node


def utc_now() -> datetime:
    """Return the current time, truncated to the milliseconds that clients see."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def make_admission(settings: Settings, *, max_streams: int | None = None) -> Admission:
    """Return the node's admission; `max_streams` is what the machine allows, unless the settings allow less."""
    found = [limit for limit in (settings.max_streams, max_streams) if limit is not None]
    return Admission(
        Limits(
            heartbeat=settings.heartbeat_seconds,
            lifetime=settings.stream_lifetime_seconds,
            drain=settings.drain_seconds,
            max_streams_per_address=settings.max_streams_per_address,
            max_streams_per_token=settings.max_streams_per_token,
            **({"max_streams": min(found)} if found else {}),
        )
    )


def create_app(
    settings: Settings,
    *,
    admission: Admission | None = None,
    clock: Clock = utc_now,
    transport: httpx.AsyncBaseTransport | None = None,
    on_refusal: Callable[[StoreRefused], None] | None = None,
) -> Starlette:
    """Create one node. The server must drain its admission before shutdown; `transport` simulates fal in tests.

    Raises SettingsError for a HOOKCAST_MEDIA_URL that names no storage.

    `on_refusal` is called when the database cannot be used until it is changed; None = the lifespan fails.
    """
    admitted = admission or make_admission(settings)
    media = _media(settings)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[LifespanState]:
        node = Node(clock)
        async with Opening(node, partial(_services, settings, admitted, media, clock, transport), on_refusal).running():
            yield {"node": node}

    hold_secrets(settings.held)
    return EnteredApp(
        busy=_busy(),
        access_log=settings.access_log,
        routes=_routes(media),
        lifespan=lifespan,
        middleware=cors(settings),
        exception_handlers={
            HookcastError: problems.on_error,
            HTTPException: problems.on_http_error,
            Exception: problems.on_crash,
        },
    )


@asynccontextmanager
async def _services(
    settings: Settings,
    admission: Admission,
    media: Media | None,
    clock: Clock,
    transport: httpx.AsyncBaseTransport | None,
) -> AsyncIterator[Services]:
    """Open the services and run what runs in the background. Raises StoreUnavailable when the database is away."""
    hub, name = Hub(admission.clock), _node_name()
    notebook, refused = Notebook(clock), Refusals(clock)
    async with (
        open_store(settings.database_url.get_secret_value(), settings.database_schema, name) as store,
        open_bus(settings.bus_url, await store.deployment(), hub.hear) as bus,
        http_client(timeout=HTTP_TIMEOUT, limits=HTTP_LIMITS, transport=transport) as client,
    ):
        queue = _queue(settings, client)
        fal = None if queue is None else Asking(queue, clock, notebook)
        show = partial(encode, link=None if media is None else media.links)
        keeping = None if media is None else Keeping(settings.kept_endpoints)
        dispatcher = Dispatcher(store, bus, clock, show, keeping, tells=settings.told_events)
        outcomes = Outcomes(store, dispatcher)
        keys = FalKeys(client, settings.fal_jwks_url, store, clock, user_id=settings.fal_user_id)
        push = Engine(admission, hub, store, bus, _gate(settings, client, store, clock), notebook, show=show)
        node = Services(
            settings,
            clock,
            store,
            bus,
            push,
            dispatcher,
            Submitter(
                store,
                dispatcher,
                outcomes,
                queue,
                webhook_url=settings.webhook_url,
                clock=clock,
                notebook=notebook,
                keeps_inputs=settings.keep_inputs,
            ),
            keys,
            queue,
            fal,
            Scribe(store, notebook, refused),
            Readiness(store, keys),
            webhooks=Bodies(settings.max_webhook_bytes, STRANGERS),
            uploads=Bodies(settings.max_webhook_bytes, CALLERS),
            submitting=_submitting(settings, push),
            metrics=_metrics(settings),
            media=media,
        )
        with nullcontext() if media is None else closing(media.turns), senders(clock) as send_to:
            works = background(node, name, send_to)
            async with aclosing(keys), aclosing(push.gate), push.running(), beside(*works):
                yield node


def _node_name() -> str:
    """Return a name of this process that an operator recognizes, and no other process has."""
    return f"{socket.gethostname()[:47]}-{secrets.token_hex(4)}"


def _media(settings: Settings) -> Media | None:
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


def _busy() -> Busy:
    """Return the routes of webhooks, streams and polls."""
    exact: dict[tuple[str, str], ASGIApp] = {
        ("POST", WEBHOOK_PATH): answering(webhooks.fal_webhook),
        ("GET", "/api/fal-jobs/events"): streams.Events("many"),
        ("WEBSOCKET", "/api/fal-jobs/ws"): websocket.JobSocket(),
    }
    return Busy(exact, {"/events": streams.Events("one"), "": answering(jobs.poll)})


def _routes(media: Media | None = None) -> list[BaseRoute]:
    one = "/api/fal-jobs/{request_id}"
    routes: list[BaseRoute] = [
        Raised(),
        Route(WEBHOOK_PATH, webhooks.fal_webhook, methods=["POST"]),
        Route(f"{one}/events", streams.Events("one"), methods=["GET"]),
        Route("/api/fal-jobs", submit.submit, methods=["POST"]),
        Route("/api/fal-jobs", jobs.list_jobs, methods=["GET"]),
        Route("/api/fal-jobs/events", streams.Events("many"), methods=["GET"]),
        Route("/api/fal-jobs/ws", websocket.not_a_socket, methods=["GET"]),
        WebSocketRoute("/api/fal-jobs/ws", websocket.JobSocket()),
        Route(f"{one}/redeliver", redeliver.redeliver, methods=["POST"]),
        Route("/api/redeliver", redeliver.redeliver_since, methods=["POST"]),
        Route("/api/tokens", tokens.make_token, methods=["POST"]),
        Route(f"{one}/cancel", actions.cancel, methods=["POST"]),
        Route(f"{one}/retry", retry.retry, methods=["POST"]),
        Route(f"{one}/refresh", actions.refresh, methods=["POST"]),
        Route(f"{one}/journal", journal.of_job, methods=["GET"]),
        Route("/api/webhooks/refused", journal.refused, methods=["GET"]),
        Route(one, jobs.register, methods=["PUT"]),
        Route(one, jobs.poll, methods=["GET"]),
        Route(one, actions.remove, methods=["DELETE"]),
        Route("/openapi.json", openapi.openapi, methods=["GET"]),
        Route("/healthz", health.healthz),
        Route("/readyz", health.readyz),
        Route("/metrics", health.metrics),
    ]
    if media is not None and isinstance(media.storage, LocalStorage):
        routes.append(Mount("/media", KeptFiles(media.storage.root)))
    return [*routes, WrongMethods(routes), Mount("/", Pages(), name="pages")]
