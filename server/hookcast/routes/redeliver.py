"""Tell the backend again: of one job, or of all that ended since a time."""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from hookcast.auth import Action
from hookcast.consequences import end_of, telling
from hookcast.errors import ForwardingOff, InvalidRequest, JobNotFound, NotTerminal
from hookcast.journal import Event
from hookcast.problems import json_response
from hookcast.routes.credentials import authorize
from hookcast.routes.portions import PiecesResponse, write_large
from hookcast.routes.requests import request_id_of
from hookcast.routes.services import Services, services
from hookcast.upkeep.reteller import retelling

_Moment = Annotated[datetime, Meta(tz=True)]


async def redeliver(request: Request) -> Response:
    """Handle POST /api/fal-jobs/{requestId}/redeliver: tell the backend again of the job's end, with the same id."""
    node, request_id = services(request), request_id_of(request)
    caller = await authorize(request, Action.REDELIVER)
    _check_forwarding(node)
    outline = await node.store.outline(request_id)
    if outline is None:
        raise JobNotFound(request_id)
    job = outline.job
    if job.completed_at is None:
        raise NotTerminal("The backend is told again of jobs that have ended; this one has not.")
    await node.store.work.again([telling(request_id, end_of(job.status), job.version, job.completed_at)])
    node.scribe.notebook.note(request_id, Event.REDELIVERY, by=caller.name)
    node.dispatcher.work_waits()
    if outline.left_out:
        return PiecesResponse(partial(write_large, node.engine, outline), status=202)
    return json_response(node.engine.show(job).body, 202)


async def redeliver_since(request: Request) -> Response:
    """Handle POST /api/redeliver: tell the backend again of all jobs that ended since a time, in the background."""
    node = services(request)
    await authorize(request, Action.REDELIVER)
    since, until = _since(request), node.clock()
    _check_forwarding(node)
    count = await node.store.count_ended(since, until)
    await node.store.work.start([retelling(since, until)])
    node.dispatcher.work_waits()
    return json_response({"redelivering": count}, 202)


def _check_forwarding(node: Services) -> None:
    if node.settings.forward_url is None:
        raise ForwardingOff("This server tells no backend: HOOKCAST_FORWARD_URL is not set.")


def _since(request: Request) -> datetime:
    try:
        moment = msgspec.convert(request.query_params.get("since", ""), _Moment, strict=False)
        return moment.astimezone(UTC)  # may overflow at either end of the calendar
    except (msgspec.ValidationError, OverflowError, ValueError):  # of numbers, too: msgspec raises what datetime does
        raise InvalidRequest("since must be a time such as 2026-11-29T10:00:00Z (RFC 3339).") from None
