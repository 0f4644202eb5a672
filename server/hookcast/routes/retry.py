"""POST /api/fal-jobs/{requestId}/retry: submit the input of an ended job again, as a new job that names the old one."""

import hashlib
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response

from hookcast.auth import Action, Caller
from hookcast.errors import InputNotKept, NotTerminal
from hookcast.jobs import Job, Registered
from hookcast.journal import Event
from hookcast.routes.credentials import caller_of, check_origin
from hookcast.routes.jobs import visible_outline, whole_job
from hookcast.routes.requests import request_id_of
from hookcast.routes.services import Services, services
from hookcast.routes.submit import accepted, check_rate, counting, idempotency
from hookcast.submitter import Submitted, Wish

DOUBLE_CLICK = timedelta(seconds=2)


async def retry(request: Request) -> Response:
    """Handle POST /api/fal-jobs/{requestId}/retry."""
    check_origin(request)
    node, request_id, caller = services(request), request_id_of(request), await caller_of(request)
    outline = await visible_outline(node, request_id, caller)
    caller.check_own(Action.RETRY, outline.job.owner)
    if not outline.job.status.terminal:
        raise NotTerminal("Only a job that has ended can be retried. Cancel it first, or wait for its end.")
    key, again = idempotency(request)
    wish = await _wish(node, await whole_job(node, outline), caller)
    with counting(node):
        check_rate(node, caller)
        if key is not None:
            submitted = await node.submitter.submit(wish, key, again=again)
        else:
            submitted = await _without_key(node, wish, request_id, again=again)
        return accepted(node, submitted, caller)


async def _wish(node: Services, job: Job, caller: Caller) -> Wish:
    """Return what the job was submitted with. Raises InputNotKept."""
    kept = await node.store.inputs.of_job(job.request_id)
    if kept is None or job.endpoint_id is None:
        raise InputNotKept(
            "The input of this job was not kept, so it cannot be submitted again from here. HOOKCAST_KEEP_INPUTS=true "
            "keeps the inputs of later submits."
        )
    facts = Registered(
        endpoint_id=job.endpoint_id,
        owner=job.owner,
        group=job.group,
        metadata=job.metadata,
        keep=job.keep,
        retry_of=job.request_id,
    )
    return Wish(endpoint_id=job.endpoint_id, input=kept.input, headers=kept.headers, facts=facts, caller=caller.who)


async def _without_key(node: Services, wish: Wish, request_id: str, *, again: bool) -> Submitted:
    """Return the last retry while it is pending, or if it was asked for a moment ago: a double click makes one job.

    Otherwise submit with a key made of both jobs' ids, so that retries at the same time, on any node, are one.
    """
    last = await node.store.last_retry(request_id)
    if last is not None and (not last.status.terminal or node.clock() - last.created_at < DOUBLE_CLICK):
        job = await node.store.get(last.request_id)
        if job is not None:
            node.scribe.notebook.note(job.request_id, Event.REPEATED, by=wish.caller)
            return Submitted(job)
    key = _key(request_id, "" if last is None else last.request_id)
    return await node.submitter.submit(wish, key, again=again, shared=True)


def _key(request_id: str, last: str) -> str:
    """Return an idempotency key that no client can send: it has a space."""
    return f"retry {hashlib.sha256(f'{request_id}/{last}'.encode()).hexdigest()}"
