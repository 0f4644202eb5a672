"""For operators: liveness, readiness and metrics."""

from starlette.requests import Request
from starlette.responses import Response

from hookcast.auth import Action
from hookcast.errors import Draining, StoreUnavailable
from hookcast.problems import json_response
from hookcast.routes.credentials import authorize
from hookcast.routes.services import services
from hookcast.wire import rfc3339


async def healthz(request: Request) -> Response:
    """Handle GET /healthz: return the server's time, which a page compares with its own clock.

    503 once the node's tasks have ended: it cannot work, and its process is about to end.
    """
    node = services(request)
    if not node.engine.tasks.running:
        raise Draining("The server's background work has ended, so it is about to exit.")
    return json_response({"now": rfc3339(node.clock()), "status": "ok"})


async def readyz(request: Request) -> Response:
    """Handle GET /readyz: check every dependency; 503 names those that are unavailable."""
    node = services(request)
    checks = {"database": "ok", "falKeys": "ok", "server": "draining" if node.engine.admission.draining else "ok"}
    try:
        await node.store.ping()
    except StoreUnavailable:
        checks["database"] = "unavailable"
    if node.settings.redis_url is not None:
        checks["redis"] = "ok" if node.bus.live else "unavailable"
    if not await node.keys.available():
        checks["falKeys"] = "unavailable"
    ready = set(checks.values()) == {"ok"}
    return json_response({"status": "ok" if ready else "unavailable", "checks": checks}, 200 if ready else 503)


async def metrics(request: Request) -> Response:
    """Handle GET /metrics, for Prometheus; it needs an API key unless the server is open."""
    await authorize(request, Action.MEASURE)
    node = services(request)
    node.metrics.read(node.engine, node.dispatcher, node.bus)
    text, media_type = node.metrics.text(request.headers.get("accept", ""))
    return Response(text, headers={"Content-Type": media_type, "Cache-Control": "no-store"})
