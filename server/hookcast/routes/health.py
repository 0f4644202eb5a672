"""For operators: liveness, readiness and metrics."""

import asyncio
import math

from starlette.requests import Request
from starlette.responses import Response

from hookcast.auth import Action
from hookcast.consequences import Kind
from hookcast.errors import Draining, StoreUnavailable, Trouble
from hookcast.problems import json_response
from hookcast.routes.credentials import authorize
from hookcast.routes.services import node_of, services
from hookcast.store import WorkTable
from hookcast.wire import rfc3339

WORK_SECONDS = 2.0


# Pages of all origins may read it: a page that can, but cannot read the API, knows that its origin is not allowed.
_FOR_ALL = {"Access-Control-Allow-Origin": "*"}


async def healthz(request: Request) -> Response:
    """Handle GET /healthz: return the server's time, which a page compares with its own clock.

    503 once the node's tasks have ended: it cannot work, and its process is about to end.
    """
    node = node_of(request)
    if node.ready and not node.services.engine.tasks.running:
        raise Draining("The server's background tasks have ended; the process is about to exit.")
    return json_response({"now": rfc3339(node.clock()), "status": "ok"}, headers=_FOR_ALL)


async def readyz(request: Request) -> Response:
    """Handle GET /readyz: check every dependency; 503 when clients should be sent to another node.

    Without Redis and without fal's keys nothing is lost, and other nodes are no better off: the node is degraded.
    `reasons` says why the database is unavailable: it cannot be written, or has not answered since the start.
    """
    node = node_of(request)
    if not node.ready:
        return _not_ready({"database": "unavailable", "server": "ok"}, node.trouble)
    ready = node.services
    checks: dict[str, str] = await ready.readiness.checks()
    checks["server"] = "draining" if ready.engine.admission.draining else "ok"
    if ready.settings.redis_url is not None:
        checks["redis"] = ready.bus.condition
    if (checks["database"], checks["server"]) != ("ok", "ok"):
        return _not_ready(checks, ready.readiness.trouble)
    return json_response({"status": "ok" if set(checks.values()) == {"ok"} else "degraded", "checks": checks})


def _not_ready(checks: dict[str, str], trouble: StoreUnavailable | None) -> Response:
    answer: dict[str, object] = {"status": "unavailable", "checks": checks}
    if checks["database"] != "ok":
        error = trouble or StoreUnavailable("The database has not answered yet.", Trouble.TIMEOUT)
        answer["reasons"] = {"database": {"code": error.trouble.value, "detail": str(error)}}
    return json_response(answer, 503)


async def metrics(request: Request) -> Response:
    """Handle GET /metrics, for Prometheus; it needs an API key unless the server is open."""
    await authorize(request, Action.MEASURE)
    node = services(request)
    node.metrics.read(node.engine, node.dispatcher, node.bus, node.media and node.media.turns)
    node.metrics.work(await _waiting(node.store.work))
    try:
        text, media_type = node.metrics.text(request.headers.get("accept", ""))
    except (TypeError, ValueError):  # it names a version that is not a number
        text, media_type = node.metrics.text("")
    return Response(text, headers={"Content-Type": media_type, "Cache-Control": "no-store"})


async def _waiting(table: WorkTable) -> dict[Kind, float]:
    """Return how much work of each kind is not done; NaN while the database does not answer."""
    try:
        async with asyncio.timeout(WORK_SECONDS):
            return {kind: await table.waiting(kind) for kind in Kind}
    except (StoreUnavailable, TimeoutError):
        return dict.fromkeys(Kind, math.nan)
