"""The ASGI application: its routes and what is around them. Its lifespan opens the services of a node."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TypedDict

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.types import ASGIApp

from hookcast import problems
from hookcast.assembly import media_of, services
from hookcast.errors import HookcastError, StoreRefused
from hookcast.jobs import Clock
from hookcast.logs import hold_secrets
from hookcast.media.parts import Media
from hookcast.media.storage.local import LocalStorage
from hookcast.opening import Opening
from hookcast.push import Admission, Limits
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
from hookcast.routes.credentials import WEBHOOK_PATH, cors
from hookcast.routes.entry import Busy, EnteredApp, Raised, answering
from hookcast.routes.media import KeptFiles
from hookcast.routes.methods import WrongMethods
from hookcast.routes.pages import Pages
from hookcast.routes.services import Node
from hookcast.settings import Settings


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
    media = media_of(settings)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[LifespanState]:
        node = Node(clock)
        async with Opening(node, partial(services, settings, admitted, media, clock, transport), on_refusal).running():
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
