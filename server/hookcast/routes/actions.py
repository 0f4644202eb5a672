"""Actions on a job: cancel it, ask fal about it, remove it."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from hookcast.auth import Action
from hookcast.errors import (
    AlreadyTerminal,
    EndpointUnknown,
    FalRejected,
    FalUnreachable,
    JobNotFound,
    NotTerminal,
    UnknownToFal,
)
from hookcast.fal.answers import CancelAnswer
from hookcast.fal.queue import FalQueue
from hookcast.jobs import CancelAsked, Cancelled, CancelRefused, CancelRequested, Finished, Job, Phase, Update
from hookcast.routes.credentials import authorize, caller_of, check_origin
from hookcast.routes.jobs import state_response, visible_outline, whole_job
from hookcast.routes.requests import request_id_of
from hookcast.routes.services import Services, services
from hookcast.upkeep.asking import unknown_to_fal


async def cancel(request: Request) -> Response:
    """Handle POST /api/fal-jobs/{requestId}/cancel: ask fal to cancel the job."""
    node, request_id, caller = services(request), request_id_of(request), await caller_of(request)
    check_origin(request)
    outline = await visible_outline(node, request_id, caller)
    caller.check_own(Action.CANCEL, outline.job.owner)
    _check_pending(outline.job)
    _check_pending(await whole_job(node, outline))  # a large result may be there
    if node.queue is None:
        raise FalUnreachable("No FAL_KEY is set on the server, so fal cannot be asked to cancel.")
    # Committed first: fal's webhook may arrive before its answer, and at another node.
    job = (await node.dispatcher.apply(request_id, CancelAsked(), by=caller.who)).after
    _check_pending(job)
    answer = await _cancelled(node, node.queue, job)
    after = (await node.dispatcher.apply(request_id, _AFTER_CANCEL[answer])).after
    if answer is CancelAnswer.ALREADY_COMPLETED:
        raise AlreadyTerminal("fal has already finished the job; its result is being fetched.")
    return state_response(node.engine.show(after), 202)


async def refresh(request: Request) -> Response:
    """Handle POST /api/fal-jobs/{requestId}/refresh: ask fal about the job now."""
    node, request_id = services(request), request_id_of(request)
    await authorize(request, Action.REFRESH)
    job = await node.store.get(request_id)
    if job is None:
        raise JobNotFound(request_id)
    _check_pending(job)
    if node.asking is None:
        raise FalUnreachable("No FAL_KEY is set on the server, so fal cannot be asked.")
    if job.endpoint_id is None and job.response_url is None:
        raise EndpointUnknown
    change = await node.dispatcher.apply(request_id, await node.asking.news(job))
    return state_response(node.engine.show(change.after), 202)


async def remove(request: Request) -> Response:
    """Handle DELETE /api/fal-jobs/{requestId}: remove an ended job and the files of its result."""
    node, request_id, caller = services(request), request_id_of(request), await caller_of(request)
    check_origin(request)
    outline = await visible_outline(node, request_id, caller)
    caller.check(Action.REMOVE)
    if not outline.job.status.terminal:
        raise NotTerminal("Only a job that has ended can be removed. Cancel it first, or wait for its end.")
    if not await node.store.remove_job(request_id):
        raise JobNotFound(request_id)
    node.dispatcher.work_waits()
    return Response(status_code=204)


def _check_pending(job: Job) -> None:
    if job.keeping:
        raise AlreadyTerminal("fal has already finished the job; the files of its result are being copied.")
    if job.status.terminal:
        raise AlreadyTerminal(f"The job has been {job.status} since {job.completed_at:%Y-%m-%d %H:%M:%S} UTC.")


_AFTER_CANCEL: Mapping[CancelAnswer, Update] = {
    CancelAnswer.REQUESTED: CancelRequested(),
    CancelAnswer.REMOVED: Cancelled(),
    CancelAnswer.ALREADY_COMPLETED: Finished(),
    CancelAnswer.NOT_FOUND: Cancelled(),  # of a job whose cancel fal has accepted earlier
}


async def _cancelled(node: Services, queue: FalQueue, job: Job) -> CancelAnswer:
    """Ask fal to cancel the job; store that it refused. After FalUnreachable fal may have accepted the request."""
    try:
        answer = await queue.cancel(job)
    except FalRejected:
        await node.dispatcher.apply(job.request_id, CancelRefused())
        raise
    unknown = answer is CancelAnswer.NOT_FOUND and job.progress.phase is not Phase.CANCELLING
    if unknown or answer is CancelAnswer.ALREADY_COMPLETED:
        await node.dispatcher.apply(job.request_id, CancelRefused())
    if unknown:
        raise UnknownToFal(unknown_to_fal(job))
    return answer
