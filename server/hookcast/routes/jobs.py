"""Register, poll and list jobs."""

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from hookcast.auth import Action, Caller
from hookcast.errors import (
    InvalidRequest,
    JobNotFound,
)
from hookcast.jobs import (
    Job,
    JobStatus,
    valid_request_id,
)
from hookcast.journal import Event
from hookcast.problems import json_response
from hookcast.push import Drained, Watch
from hookcast.routes.addresses import holders_of
from hookcast.routes.credentials import authorize, caller_of, noting_refusals
from hookcast.routes.numbers import digits, number, whole_number
from hookcast.routes.portions import PiecesResponse, write_large, write_list
from hookcast.routes.requests import label, read_json, request_id_of
from hookcast.routes.services import Services, services
from hookcast.routes.submit import MAX_FACTS_BYTES, Facts
from hookcast.store import JobQuery, Order, Outline
from hookcast.store.listing import Cursor
from hookcast.wire import State

MAX_WAIT_SECONDS = 60
WHOLE_BYTES = 256 * 1024  # limit of a list that is sent in one piece
_Choice = TypeVar("_Choice", bound=StrEnum)
_Cursor = tuple[Annotated[datetime, Meta(tz=True)], str]


async def register(request: Request) -> Response:
    """Handle PUT /api/fal-jobs/{requestId}: register a job that was submitted elsewhere."""
    node, request_id = services(request), request_id_of(request)
    caller = await authorize(request, Action.REGISTER)
    facts = await read_json(request, Facts, MAX_FACTS_BYTES)
    change = await node.dispatcher.register(request_id, facts.registered(), by=caller.name)
    return state_response(node.engine.show(change.after), 201 if change.before is None else 200)


async def poll(request: Request) -> Response:
    """Handle GET /api/fal-jobs/{requestId}: return the state, at once or as a long poll."""
    request_id = request_id_of(request)
    with noting_refusals(request, (request_id,), "poll"):
        return await _polled(request, request_id)


async def visible_outline(node: Services, request_id: str, caller: Caller) -> Outline:
    """Return the outline of a job that the caller sees: decide by it before reading more. Raises JobNotFound."""
    outline = await node.store.outline(request_id)
    if outline is None or not caller.sees(request_id, outline.job.owner, outline.job.group):
        raise JobNotFound(request_id)
    return outline


async def whole_job(node: Services, outline: Outline) -> Job:
    """Return the job of an outline with its large values. Raises JobNotFound if it is gone."""
    job = await node.store.whole(outline.job.request_id) if outline.left_out else outline.job
    if job is None:
        raise JobNotFound(outline.job.request_id)
    return job


async def _polled(request: Request, request_id: str) -> Response:
    node, caller = services(request), await caller_of(request, in_url=True)
    wait = _patience(node, caller, number(request, "wait", 0, MAX_WAIT_SECONDS) or 0.0)
    seen = whole_number(request, "version", 0, 2**53)
    tags = _entity_tags(request.headers.get("if-none-match", ""))
    if seen is None:
        seen = max((digits(tag) or 0 for tag in tags), default=0)
    if wait:
        holders = holders_of(request, caller)
        async with node.engine.subscriptions.watch(request_id, caller, holders) as watch, _ending_with(request, watch):
            found = watch.ended or await _waited(watch, seen, node.engine.clock, wait)
    else:
        outline = await node.store.outline(request_id)
        found = node.engine.show(outline.job) if outline is not None and not outline.left_out else outline
        if outline is not None and not caller.sees(request_id, outline.job.owner, outline.job.group):
            found = None
    if found is None:
        raise JobNotFound(request_id)
    if not wait and (not caller.full or node.engine.gate.open):  # a backend that looks with its key watches nothing
        node.engine.notebook.note_once(request_id, Event.WATCHED, "poll", transport="poll")
    version = found.version if isinstance(found, State) else found.job.version
    if "*" in tags or str(version) in tags:
        return Response(status_code=304, headers=_headers(version))
    return _found_response(node, found)


async def list_jobs(request: Request) -> Response:
    """Handle GET /api/fal-jobs: list the jobs that the caller may see."""
    query = _query(request, await caller_of(request))
    node = services(request)
    page = await node.store.page(query)
    headers = {"ETag": f'W/"{page.tag}"', "Cache-Control": "private, no-cache"}
    if page.tag in _entity_tags(request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    cursor = None if page.next_cursor is None else _encode_cursor(page.next_cursor)
    content = partial(write_list, node.engine, page.request_ids, cursor)
    if page.size > WHOLE_BYTES:
        return PiecesResponse(content, headers)
    pieces: list[bytes] = []

    async def keep(piece: bytes) -> None:
        pieces.append(piece)

    await content(keep)
    return json_response(b"".join(pieces), headers=headers)


def _query(request: Request, caller: Caller) -> JobQuery:
    """Return what the request lists. Raises InvalidRequest."""
    query = JobQuery(
        owner=label(request, "owner"),
        group=label(request, "group"),
        status=_choice(request, "status", JobStatus),
        order=_choice(request, "order", Order) or Order.CREATED,
        limit=whole_number(request, "limit", 1, 200) or 50,
        cursor=_decode_cursor(request.query_params["cursor"]) if "cursor" in request.query_params else None,
        seen_by=caller,
    )
    if query.order is Order.UPDATED and (query.status or bool(query.owner) is bool(query.group)):
        raise InvalidRequest("order=updated goes with an owner or a group, not both, and without a status.")
    return query


def _choice(request: Request, name: str, choices: type[_Choice]) -> _Choice | None:
    value = request.query_params.get(name)
    try:
        return None if value is None else choices(value)
    except ValueError:
        raise InvalidRequest(f"{name} must be one of {', '.join(choices)}.") from None


def _patience(node: Services, caller: Caller, wait: float) -> float:
    """Return how many seconds to wait for a change: not past the expiry of the caller's token."""
    if caller.expires_at is None:
        return wait
    return min(wait, max(caller.expires_at - node.engine.gate.clock(), 0.0))


@asynccontextmanager
async def _ending_with(request: Request, watch: Watch) -> AsyncIterator[None]:
    """End the wait when the client disconnects, so that its place is free again."""

    async def listen() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        watch.drain()

    listening = asyncio.ensure_future(listen())
    try:
        yield
    finally:
        listening.cancel()
        await asyncio.wait({listening})


async def _waited(watch: Watch, seen: int, clock: Callable[[], float], seconds: float) -> State | None:
    """Return the first state past `seen`, or the latest one at the deadline."""
    until = clock() + seconds
    state = await _newer(watch, 0)
    while state is None or (state.version <= seen and not state.terminal):
        newer = await _newer(watch, max(until - clock(), 0))
        if newer is None:
            break
        state = newer
    return state


async def _newer(watch: Watch, seconds: float) -> State | None:
    try:
        return await watch.next(seconds)
    except Drained:
        return None


def _found_response(node: Services, found: State | Outline) -> Response:
    """Return the state; a large one is sent as fast as the client takes it."""
    if not isinstance(found, State):
        return PiecesResponse(partial(write_large, node.engine, found), _headers(found.job.version))
    if found.small:
        return state_response(found)
    return PiecesResponse(lambda write: write(found.body), _headers(found.version))


def state_response(state: State, status: int = 200) -> Response:
    """Return the state with its ETag."""
    return json_response(state.body, status, _headers(state.version))


def _headers(version: int) -> dict[str, str]:
    # no-cache, not no-store: a client may store the state and revalidate it with its ETag; a shared cache may not.
    return {"ETag": f'"{version}"', "Cache-Control": "private, no-cache"}


def _entity_tags(header: str) -> set[str]:
    """Return the opaque tags of an If-None-Match (RFC 9110 section 13.1.2: weak comparison)."""
    return {tag.strip().removeprefix("W/").strip('"') for tag in header.split(",") if tag.strip()}


def _encode_cursor(cursor: Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def _decode_cursor(text: str) -> Cursor:
    wrong = InvalidRequest("cursor must be the nextCursor of an earlier response.")
    try:
        padded = text + "=" * (-len(text) % 4)
        moment, request_id = msgspec.json.decode(base64.urlsafe_b64decode(padded), type=_Cursor)
        utc = moment.astimezone(UTC)  # may overflow at either end of the calendar
    except (binascii.Error, msgspec.DecodeError, ValueError, OverflowError):
        raise wrong from None
    if not valid_request_id(request_id):
        raise wrong
    return utc, request_id
