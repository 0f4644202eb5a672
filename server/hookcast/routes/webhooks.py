"""fal's webhooks: verified over the raw body, committed, then acknowledged."""

import re
from contextlib import nullcontext
from datetime import datetime
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from hookcast.consequences import Start
from hookcast.errors import HookcastError
from hookcast.fal.signature import REQUEST_ID, SignedHeaders
from hookcast.fal.webhook import parse
from hookcast.jobs import valid_request_id
from hookcast.logs import FilteringBoundLogger, Throttle, claimed_request_id, get_logger, secret_in, shown
from hookcast.problems import json_response
from hookcast.routes.addresses import address_of
from hookcast.routes.services import Services, node_of, services
from hookcast.store import Change
from hookcast.upkeep.relay import relaying

_INTENT = re.compile(rb"(?:^|&)submit=([A-Za-z0-9_-]{32})(?:&|$)")
_log = get_logger(__name__)


async def fal_webhook(request: Request) -> Response:
    """Handle POST /api/webhooks/fal, and record its outcome and duration in the metrics."""
    claimed_request_id.set(request.headers.get(REQUEST_ID))
    try:
        node = services(request)
    except HookcastError as error:
        _tell(request, node_of(request).refusals, error)
        raise
    began = node.engine.clock()
    try:
        answer = await _take(node, request)
    except HookcastError as error:
        node.metrics.webhook(error.code, node.engine.clock() - began)
        _note(node, request, error)
        raise
    node.metrics.webhook(answer, node.engine.clock() - began)
    return json_response({"status": answer})


async def _take(node: Services, request: Request) -> str:
    arrived = node_of(request).clock()
    log: Throttle | FilteringBoundLogger = node_of(request).refusals
    try:
        with node.webhooks.share() as share:  # until it is committed: what waits for the database takes memory, too
            signed, body = await node.keys.verified(request.headers, partial(share.read, request))
            log = _log  # from here on, the line is not a stranger's
            change = await _committed(node, request, signed, body, arrived)
    except HookcastError as error:
        _tell(request, log, error)
        raise
    request_id, answer = change.after.request_id, "accepted" if change.changed else "duplicate"
    if node.heard.first(request_id, signed.signature):
        _log.info("webhook", request_id=request_id, answer=answer)
    return answer


async def _committed(node: Services, request: Request, signed: SignedHeaders, body: bytes, arrived: datetime) -> Change:
    """Commit what a verified webhook reports, and that it is to be passed on."""
    report = parse(body)
    relayed: tuple[Start, ...] = ()
    if node.settings.forward_fal is not None and not node.heard.knows(report.request_id, signed.signature):
        relayed = (await relaying(report.request_id, signed, request.headers, body),)
    with nullcontext() if node.media is None else node.media.turns.precedence:
        return await node.dispatcher.apply(
            report.request_id, report.update, "webhook", submit=_intent_id(request), at=arrived, also=relayed
        )


def _note(node: Services, request: Request, error: HookcastError) -> None:
    """Count the refusal for the operator. Nothing that the request claims has been verified."""
    claimed = request.headers.get(REQUEST_ID)
    known = claimed is not None and valid_request_id(claimed) and not secret_in(claimed)
    request_id = claimed if known else None
    node.scribe.refusals.add(error.code, str(error), request_id, address_of(request), request.headers.raw)


def _tell(request: Request, log: Throttle | FilteringBoundLogger, error: HookcastError) -> None:
    """Log the refusal, with the request id that the webhook claims."""
    claimed = request.headers.get(REQUEST_ID)
    about = {"request_id": None if claimed is None else shown(claimed), "client": address_of(request)}
    log.warning("webhook_refused", code=error.code, reason=str(error), **about)


def _intent_id(request: Request) -> str | None:
    """Return the submit that the webhook's URL names, if any. Use it only after the signature has been verified."""
    found = _INTENT.search(request.scope["query_string"])
    return None if found is None else found[1].decode()
