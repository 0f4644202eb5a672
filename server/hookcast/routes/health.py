"""For operators: liveness, readiness and metrics."""

from starlette.requests import Request
from starlette.responses import Response

from hookcast.auth import Action
from hookcast.errors import Draining
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
    """Handle GET /readyz: check every dependency; 503 when clients should be sent to another node.

    Without Redis and without fal's keys nothing is lost, and other nodes are no better off: the node is degraded.
    """
    node = services(request)
    checks: dict[str, str] = await node.readiness.checks()
    checks["server"] = "draining" if node.engine.admission.draining else "ok"
    if node.settings.redis_url is not None:
        checks["redis"] = node.bus.condition
    if (checks["database"], checks["server"]) != ("ok", "ok"):
        return json_response({"status": "unavailable", "checks": checks}, 503)
    return json_response({"status": "ok" if set(checks.values()) == {"ok"} else "degraded", "checks": checks})


async def metrics(request: Request) -> Response:
    """Handle GET /metrics, for Prometheus; it needs an API key unless the server is open."""
    await authorize(request, Action.MEASURE)
    node = services(request)
    node.metrics.read(node.engine, node.dispatcher, node.bus)
    try:
        text, media_type = node.metrics.text(request.headers.get("accept", ""))
    except (TypeError, ValueError):  # it names a version that is no number
        text, media_type = node.metrics.text("")
    return Response(text, headers={"Content-Type": media_type, "Cache-Control": "no-store"})
