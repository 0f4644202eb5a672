"""GET /openapi.json: the HTTP API as OpenAPI 3.1; pure.

Schemas come from the structs that the handlers decode, problems from the classes of `errors.py`: neither can drift.
Source: OpenAPI Specification 3.1.1; JSON Schema 2020-12; RFC 9457.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hookcast import __version__, errors
from hookcast.errors import HookcastError
from hookcast.jobs import LABEL, JobStatus
from hookcast.problems import json_response
from hookcast.push.messages import MAX_NAMES
from hookcast.routes.jobs import MAX_WAIT_SECONDS
from hookcast.routes.openapi_access import with_access
from hookcast.routes.submit import Facts, Submission
from hookcast.wire import JobJson

_Json = dict[str, Any]
_REF = "#/components/schemas/{name}"
_TEXT: _Json = {"type": "string"}
_LABEL: _Json = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": LABEL}
_REQUEST_ID: _Json = {
    "type": "string",
    "minLength": 1,
    "maxLength": 200,
    "pattern": r"^(?!(events|ws)$)(?!.*\.\.)[^/\\\x00-\x1f\x7f-\x9f]+$",
}
_ETAG: _Json = {"ETag": {"description": "The version in quotes.", "schema": {"type": "string", "pattern": r'^"\d+"$'}}}
_RETRY_AFTER: _Json = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
_STREAM = (
    "Server-sent events (WHATWG HTML, section 9.2). `retry:` and one `job` event for each known job at once, then one "
    "for every newer state: `id` is the version, `data` the state as JSON in one line. `: ping` breaks a silence. When "
    "all jobs have ended and no group is named, `event: end` with `id: end` comes and the stream is closed."
)
_SOCKET = (
    "WebSocket (RFC 6455), subprotocol `hookcast.v1`, text frames with one JSON object each. The client sends "
    '`{"type":"subscribe","requestIds":[…],"groups":[…]}` and `unsubscribe`; the server sends `subscribed`, `job`, '
    "`ping`, `reconnect` and `error`. Close codes 4000 to 4499: reconnect, 4500 to 4999: not without a change."
)


async def openapi(_request: Request) -> Response:
    """Handle GET /openapi.json."""
    return json_response(_encoded(), headers={"Cache-Control": "no-cache"})


@cache
def _encoded() -> bytes:
    return msgspec.json.encode(describe())


def describe() -> _Json:
    """Return the complete document."""
    return with_access(_open())


def _open() -> _Json:
    _, schemas = msgspec.json.schema_components((JobJson, Submission, Facts), ref_template=_REF)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Hookcast",
            "version": __version__,
            "license": {"name": "MIT", "identifier": "MIT"},
            "description": "fal.ai webhooks in, live job events out. Errors are RFC 9457 problems with a stable code.",
        },
        "paths": _paths(),
        "components": {
            "schemas": {**schemas, "Problem": _problem(), **_ANSWERS},
            "parameters": {"requestId": _parameter("requestId", _REQUEST_ID, where="path", required=True)},
        },
    }


def _paths() -> _Json:
    one = "/api/fal-jobs/{requestId}"
    named = {"parameters": [{"$ref": "#/components/parameters/requestId"}]}
    return {
        "/api/fal-jobs": {"post": _submit(), "get": _list()},
        one: {**named, "put": _register(), "get": _poll()},
        f"{one}/events": {**named, "get": _events("The stream of one job", [], errors.BadPath)},
        "/api/fal-jobs/events": {
            "get": _events(
                f"The stream of 1 to {MAX_NAMES} jobs and groups",
                [_repeated("requestId", _REQUEST_ID), _repeated("group", _LABEL)],
                errors.InvalidRequest,
            )
        },
        "/api/fal-jobs/ws": {"get": _socket()},
        f"{one}/cancel": {**named, "post": _cancel()},
        "/api/webhooks/fal": {"post": _webhook()},
        "/healthz": {"get": _operation("Is the process alive?", {"200": _json("It answers.", _alive())})},
        "/readyz": {"get": _ready()},
        "/metrics": {"get": _operation("What it has done, for Prometheus", {"200": _METRICS})},
        "/openapi.json": {"get": _operation("This document", {"200": _json("OpenAPI 3.1.", {"type": "object"})})},
    }


def _alive() -> _Json:
    return _object(status=_TEXT, now={"type": "string", "format": "date-time", "description": "The server's time."})


def _submit() -> _Json:
    found = _operation(
        "Submit a job to fal's queue",
        {"202": _json("Submitted; the job is stored.", _schema("Submitted"), Location=_header("The job's path."))},
        _BODY,
        [*_BODY_PROBLEMS, errors.FalRejected, errors.FalUnreachable, errors.IdempotencyConflict, errors.RateLimited],
    )
    key = {"type": "string", "pattern": r"^[\x21-\x7e]{1,255}$"}
    found["parameters"] = [_parameter("Idempotency-Key", key, where="header", text="The same key, the same job.")]
    found["requestBody"] = _body("Submission", required=True)
    return found


def _register() -> _Json:
    answers = {code: _json(text, _schema("JobJson"), **_ETAG) for code, text in (("201", "New."), ("200", "Known."))}
    found = _operation(
        "Register a job that was submitted elsewhere; only fills what is missing",
        answers,
        problems=[*_BODY_PROBLEMS, errors.BadPath],
    )
    found["requestBody"] = _body("Facts", required=False)
    return found


def _poll() -> _Json:
    whole: _Json = {"type": "integer", "minimum": 0, "maximum": 2**53}
    wait: _Json = {"type": "number", "minimum": 0, "maximum": MAX_WAIT_SECONDS}
    answers = {
        "200": _json("The state.", _schema("JobJson"), **_ETAG),
        "304": {"description": "The state is the one of If-None-Match.", "headers": _ETAG},
    }
    found = _operation("Read a job, at once or as a long poll", answers, problems=[*_NOT_THERE, errors.InvalidRequest])
    found["parameters"] = [
        _parameter("wait", wait, text="Seconds to wait at most for a version past `version`."),
        _parameter("version", whole, text="The version already seen."),
        _parameter("If-None-Match", _TEXT, where="header"),
    ]
    return found


def _list() -> _Json:
    found = _operation(
        "List jobs, newest first",
        {"200": _json("A page.", _schema("Page"))},
        problems=[errors.InvalidRequest],
    )
    limit: _Json = {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}
    found["parameters"] = [
        _parameter("owner", _LABEL),
        _parameter("group", _LABEL),
        _parameter("status", {"enum": [status.value for status in JobStatus]}),
        _parameter("limit", limit),
        _parameter("cursor", _TEXT, text="The `nextCursor` of the page before."),
    ]
    return found


def _events(summary: str, names: list[_Json], wrong: type[HookcastError]) -> _Json:
    answers = {
        "200": {"description": _STREAM, "content": {"text/event-stream": {}}},
        "204": {"description": "Everything had ended: do not come back."},
    }
    found = _operation(summary, answers, problems=[wrong, *_NO_ROOM])
    end = "`end` = the stream had ended; any other value means nothing."
    last = [_parameter("Last-Event-ID", _TEXT, where="header", text=end), _parameter("lastEventId", _TEXT, text=end)]
    return {**found, "parameters": [*names, *last]}


def _socket() -> _Json:
    answers = {"101": {"description": _SOCKET}}
    wrong = [errors.UpgradeRequired, errors.InvalidRequest, *_NO_ROOM]
    return _operation("The WebSocket", answers, _SOCKET, wrong)


def _cancel() -> _Json:
    return _operation(
        "Ask fal to cancel a job",
        {"202": _json("Asked; the state.", _schema("JobJson"), **_ETAG)},
        problems=[*_NOT_THERE, errors.AlreadyTerminal, errors.FalRejected, errors.FalUnreachable],
    )


def _webhook() -> _Json:
    answer = _object(status={"enum": ["accepted", "duplicate"]})
    refused = [errors.Malformed, errors.SignatureMissing, errors.SignatureInvalid, errors.TimestampOutOfRange]
    found = _operation(
        "fal's webhook: verified over its raw bytes, committed, then acknowledged",
        {"200": _json("Taken, now or before.", answer)},
        problems=[*refused, errors.UserMismatch, errors.BodyTooLarge, errors.BodyTimeout, errors.KeysUnavailable],
    )
    names = ("Request-Id", "User-Id", "Timestamp", "Signature")
    # Not `required`: a webhook without them gets 401 `signature_missing`.
    found["parameters"] = [_parameter(f"X-Fal-Webhook-{name}", _TEXT, where="header") for name in names]
    found["requestBody"] = {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
    return found


def _ready() -> _Json:
    checks = _object(status=_TEXT, checks={"type": "object", "additionalProperties": _TEXT})
    answers = {"200": _json("Everything answers.", checks), "503": _json("`checks` names what does not.", checks)}
    return _operation("Does every dependency answer?", answers)


_BODY = "Times out after 30 s, and a second more for each 16 KiB. `options` are fal's request headers by name."
_BODY_PROBLEMS = (errors.InvalidRequest, errors.BodyTooLarge, errors.BodyTimeout, errors.StoreUnavailable)
_ANYWHERE = (errors.BadRequest, errors.UrlTooLong, errors.HeadTooLarge, errors.HeadTimeout)
_NO_ROOM = (errors.TooManyStreams, errors.Draining, errors.TooManyStreamsOfClient)
_NOT_THERE = (errors.BadPath, errors.JobNotFound, errors.StoreUnavailable)


def _operation(
    summary: str, answers: _Json, description: str | None = None, problems: Iterable[type[HookcastError]] = ()
) -> _Json:
    found: _Json = {"summary": summary, "responses": {**answers, **_refusals(problems)}}
    return found if description is None else {**found, "description": description}


def _refusals(problems: Iterable[type[HookcastError]]) -> _Json:
    """Return one response per status, with its possible codes."""
    by_status: dict[str, list[type[HookcastError]]] = {}
    for problem in problems:
        by_status.setdefault(str(problem.status), []).append(problem)
    if by_status and "503" not in by_status:
        by_status["503"] = [errors.StoreUnavailable]
    for problem in _ANYWHERE:
        by_status.setdefault(str(problem.status), []).append(problem)
    return {status: _refusal(kinds) for status, kinds in by_status.items()}


def _refusal(kinds: list[type[HookcastError]]) -> _Json:
    codes = {kind.code: kind.title for kind in kinds}
    narrowed = {"properties": {"code": {"enum": list(codes)}}}
    schema = {"allOf": [{"$ref": _REF.format(name="Problem")}, narrowed]}
    found: _Json = {
        "description": " ".join(f"`{code}`: {title}." for code, title in codes.items()),
        "content": {"application/problem+json": {"schema": schema}},
    }
    return (
        {**found, "headers": _RETRY_AFTER}
        if all(issubclass(kind, errors.Unavailable | errors.LimitReached) for kind in kinds)
        else found
    )


def _problem() -> _Json:
    """Return the RFC 9457 schema with `code`; `falStatus` and `falBody` are present with `fal_rejected`."""
    return {
        "type": "object",
        "required": ["title", "status", "detail", "code"],
        "properties": {
            **dict.fromkeys(("title", "detail", "code"), _TEXT),
            "status": {"type": "integer"},
            "falStatus": {"type": "integer"},
            "falBody": {},
        },
    }


def _object(**members: Any) -> _Json:
    return {"type": "object", "required": list(members), "properties": members}


def _schema(name: str) -> _Json:
    return {"$ref": _REF.format(name=name)}


def _json(description: str, schema: _Json, **headers: _Json) -> _Json:
    found: _Json = {"description": description, "content": {"application/json": {"schema": schema}}}
    return {**found, "headers": headers} if headers else found


def _header(description: str) -> _Json:
    return {"description": description, "schema": _TEXT}


def _body(name: str, *, required: bool) -> _Json:
    return {"required": required, "content": {"application/json": {"schema": _schema(name)}}}


def _parameter(name: str, schema: _Json, *, where: str = "query", required: bool = False, text: str = "") -> _Json:
    found: _Json = {"name": name, "in": where, "required": required, "schema": schema}
    return {**found, "description": text} if text else found


def _repeated(name: str, item: _Json) -> _Json:
    return _parameter(name, {"type": "array", "items": item, "maxItems": MAX_NAMES}) | {"explode": True}


_METRICS: _Json = {
    "description": "Prometheus' text format, or OpenMetrics by `Accept`.",
    "content": {"text/plain": {"schema": _TEXT}, "application/openmetrics-text": {"schema": _TEXT}},
}
_OPTIONAL: _Json = {"type": ["string", "null"]}
_ANSWERS: _Json = {
    "Page": _object(jobs={"type": "array", "items": _schema("JobJson")}, nextCursor=_OPTIONAL),
    "Submitted": _object(
        requestId=_TEXT,
        status=_TEXT,
        job=_schema("JobJson"),
        token=_OPTIONAL,
        expiresAt=_OPTIONAL,
        links=_object(status=_TEXT, events=_TEXT, cancel=_TEXT),
    ),
}
