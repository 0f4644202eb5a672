"""The journal of a job, and the refused webhooks: what an operator reads when something did not arrive."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw, Struct
from starlette.requests import Request
from starlette.responses import Response

from hookcast.auth import Action
from hookcast.errors import JobNotFound
from hookcast.jobs import Job
from hookcast.journal import Case, Event, Finding, Refusal, findings
from hookcast.journal.findings import Shown
from hookcast.problems import json_response
from hookcast.routes.credentials import authorize
from hookcast.routes.numbers import whole_number
from hookcast.routes.portions import PiecesResponse, Write, write_large
from hookcast.routes.requests import request_id_of
from hookcast.routes.services import services
from hookcast.store import Entry
from hookcast.wire import rfc3339

MAX_REFUSED = 1000


class EntryJson(Struct, rename="camel"):
    """A line of the journal. `facts` depend on the event."""

    at: str
    event: str
    node: str
    facts: Raw


class FindingJson(Struct):
    """A sentence that explains the job, with a stable code."""

    code: str
    message: str


class JournalJson(Struct, rename="camel"):
    """A job and its journal: the lines in order, and what they say about it."""

    request_id: str
    job: Raw
    entries: list[EntryJson]
    findings: list[FindingJson]


class RefusedJson(Struct, rename="camel"):
    """Equal refused webhooks of an hour. `requestId` is what the sender claimed."""

    code: str
    reason: str
    request_id: str | None
    client: str | None
    headers: dict[str, str]
    first_at: str
    last_at: str
    count: int


async def of_job(request: Request) -> Response:
    """Handle GET /api/fal-jobs/{requestId}/journal."""
    node, request_id = services(request), request_id_of(request)
    await authorize(request, Action.INSPECT)
    await node.scribe.write()  # what this node has noted so far
    outline = await node.store.outline(request_id)
    if outline is None:
        raise JobNotFound(request_id)
    refused = await node.store.journal.refused(request_id=request_id, limit=50)
    entries = [*(await node.store.journal.of_job(request_id)), *map(_refusal_entry, refused)]
    entries.sort(key=lambda entry: entry.at)
    lines = [_entry(entry) for entry in entries]
    found = [FindingJson(*finding) for finding in _findings(outline.job, entries)]
    body = msgspec.json.encode(JournalJson(request_id, Raw(b"null"), lines, found))
    before, _, after = body.partition(b'"job":null')  # a requestId has its quotation marks escaped
    if not outline.left_out:
        return json_response(b'%b"job":%b%b' % (before, node.engine.show(outline.job).body, after))

    async def write(piece: Write) -> None:
        await write_large(node.engine, outline, piece, before + b'"job":')
        await piece(after)

    return PiecesResponse(write)


async def refused(request: Request) -> Response:
    """Handle GET /api/webhooks/refused: the last ones first."""
    node = services(request)
    await authorize(request, Action.INSPECT)
    limit = whole_number(request, "limit", 1, MAX_REFUSED) or 100
    await node.scribe.write()
    found = [_refused(refusal) for refusal in await node.store.journal.refused(limit=limit)]
    return json_response(msgspec.json.encode({"refused": found}))


def _findings(job: Job, entries: Sequence[Entry]) -> list[Finding]:
    told = [Shown(entry.event, entry.at, msgspec.json.decode(entry.facts)) for entry in entries]
    return findings(Case(job.status, job.ended_by, job.error, told))


def _entry(entry: Entry) -> EntryJson:
    return EntryJson(rfc3339(entry.at), entry.event, entry.node, entry.facts)


def _refusal_entry(refusal: Refusal) -> Entry:
    facts: dict[str, Any] = {"code": refusal.code, "reason": refusal.reason, "client": refusal.client}
    if refusal.count > 1:
        facts |= {"count": refusal.count, "until": _time(refusal.last_at)}
    return Entry(refusal.first_at, Event.REFUSED, "", Raw(msgspec.json.encode(facts)))


def _refused(refusal: Refusal) -> RefusedJson:
    return RefusedJson(
        code=refusal.code,
        reason=refusal.reason,
        request_id=refusal.request_id,
        client=refusal.client,
        headers=refusal.headers,
        first_at=_time(refusal.first_at),
        last_at=_time(refusal.last_at),
        count=refusal.count,
    )


def _time(moment: datetime) -> str:
    return rfc3339(moment)
