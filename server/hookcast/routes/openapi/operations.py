"""Every operation of the HTTP API, by path and method; pure."""

from hookcast import errors
from hookcast.errors import HookcastError
from hookcast.jobs import JobStatus
from hookcast.push.messages import MAX_NAMES
from hookcast.routes.jobs import MAX_WAIT_SECONDS
from hookcast.routes.journal import MAX_REFUSED
from hookcast.routes.openapi.parts import (
    LABEL,
    TEXT,
    Json,
    header,
    json_answer,
    json_body,
    json_object,
    operation,
    parameter,
    reference,
    repeated,
)
from hookcast.store import Order

REQUEST_ID: Json = {
    "type": "string",
    "minLength": 1,
    "maxLength": 200,
    "pattern": r"^(?!(events|ws|refused)$)(?!.*\.\.)[^/\\\x00-\x1f\x7f-\x9f]+$",
}
_UPDATED = "`updated`: those that changed last come first. It goes with an owner or a group alone."
_LIST_ETAG: Json = {"ETag": {"description": "Changes with the jobs of the page.", "schema": {"type": "string"}}}
_ETAG: Json = {"ETag": {"description": "The version in quotes.", "schema": {"type": "string", "pattern": r'^"\d+"$'}}}
_STREAM = (
    "Server-sent events (WHATWG HTML, section 9.2). `retry:` and one `job` event for each known job at once, then one "
    "for every newer state: `id` is the version, `data` the state as JSON in one line. `: ping` ends a silence. When "
    "all jobs have ended and no feed is named, `event: end` with `id: end` comes and the stream is closed."
)
_SOCKET = (
    "WebSocket (RFC 6455), subprotocol `hookcast.v1`, text frames with one JSON object each. The client sends "
    '`{"type":"subscribe","requestIds":[…],"groups":[…],"owners":[…],"all":true}` and `unsubscribe`; the server sends '
    "`subscribed`, `job`, `ping`, `reconnect` and `error`. Close codes 4000 to 4499: reconnect, 4500 to 4999: not "
    "without a change."
)

_NAMES: Json = {"requestId": REQUEST_ID, "group": LABEL, "owner": LABEL}
_EVERYTHING = [
    parameter("all", {"type": "string", "enum": ["0", "1", "false", "true"]}, text="1 = all jobs; needs an API key."),
    parameter(
        "since", {"type": "string", "format": "date-time"}, text="With `all`: begin with the jobs written since."
    ),
]


def paths() -> Json:
    """Return the operations of an open server."""
    one = "/api/fal-jobs/{requestId}"
    named = {"parameters": [{"$ref": "#/components/parameters/requestId"}]}
    return {
        "/api/fal-jobs": {"post": _submit(), "get": _list()},
        one: {**named, "put": _register(), "get": _poll(), "delete": _remove()},
        f"{one}/events": {**named, "get": _events("The stream of one job", [], errors.BadPath)},
        "/api/fal-jobs/events": {
            "get": _events(
                f"The stream of 1 to {MAX_NAMES} jobs, groups and owners, or of everything",
                [*(repeated(name, shape) for name, shape in _NAMES.items()), *_EVERYTHING],
                errors.InvalidRequest,
            )
        },
        "/api/fal-jobs/ws": {"get": _socket()},
        f"{one}/cancel": {**named, "post": _cancel()},
        f"{one}/retry": {**named, "post": _retry()},
        f"{one}/refresh": {**named, "post": _refresh()},
        f"{one}/journal": {**named, "get": _journal()},
        f"{one}/redeliver": {**named, "post": _redeliver()},
        "/api/redeliver": {"post": _redeliver_since()},
        "/api/webhooks/fal": {"post": _webhook()},
        "/api/webhooks/refused": {"get": _refused()},
        "/healthz": {"get": operation("Liveness", {"200": json_answer("It answers.", _alive())})},
        "/readyz": {"get": _ready()},
        "/metrics": {"get": operation("Metrics for Prometheus", {"200": _METRICS})},
        "/openapi.json": {"get": operation("This document", {"200": json_answer("OpenAPI 3.1.", {"type": "object"})})},
    }


def _alive() -> Json:
    return json_object(status=TEXT, now={"type": "string", "format": "date-time", "description": "The server's time."})


def _submit() -> Json:
    found = operation(
        "Submit a job to fal's queue",
        {"202": json_answer("Submitted; the job is stored.", reference("Submitted"), Location=_LOCATION)},
        _BODY,
        [*_BODY_PROBLEMS, *_SUBMIT_PROBLEMS],
    )
    found["parameters"] = _IDEMPOTENCY
    found["requestBody"] = json_body("Submission", required=True)
    return found


def _register() -> Json:
    answers = {
        code: json_answer(text, reference("JobJson"), **_ETAG) for code, text in (("201", "New."), ("200", "Known."))
    }
    found = operation(
        "Register a job that was submitted elsewhere; only fills in missing fields",
        answers,
        problems=[*_BODY_PROBLEMS, errors.BadPath],
    )
    found["requestBody"] = json_body("Facts", required=False)
    return found


def _poll() -> Json:
    whole: Json = {"type": "integer", "minimum": 0, "maximum": 2**53}
    wait: Json = {"type": "number", "minimum": 0, "maximum": MAX_WAIT_SECONDS}
    answers = {
        "200": json_answer("The state.", reference("JobJson"), **_ETAG),
        "304": {"description": "The state is unchanged since If-None-Match.", "headers": _ETAG},
    }
    found = operation("Read a job, at once or as a long poll", answers, problems=[*_NOT_THERE, errors.InvalidRequest])
    found["parameters"] = [
        parameter("wait", wait, text="Seconds to wait at most for a version past `version`."),
        parameter("version", whole, text="The version already seen."),
        parameter("If-None-Match", TEXT, where="header"),
    ]
    return found


def _list() -> Json:
    found = operation(
        "List jobs, newest first",
        {
            "200": json_answer("A page.", reference("Page"), **_LIST_ETAG),
            "304": {"description": "The page is unchanged since If-None-Match.", "headers": _LIST_ETAG},
        },
        problems=[errors.InvalidRequest],
    )
    limit: Json = {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}
    found["parameters"] = [
        parameter("owner", LABEL),
        parameter("group", LABEL),
        parameter("status", {"enum": [status.value for status in JobStatus]}),
        parameter("order", {"enum": [order.value for order in Order], "default": "created"}, text=_UPDATED),
        parameter("limit", limit),
        parameter("cursor", TEXT, text="The `nextCursor` of the page before, in the same order."),
        parameter("If-None-Match", TEXT, where="header"),
    ]
    return found


def _events(summary: str, names: list[Json], wrong: type[HookcastError]) -> Json:
    answers = {
        "200": {"description": _STREAM, "content": {"text/event-stream": {}}},
        "204": {"description": "All jobs have ended: do not reconnect."},
    }
    found = operation(summary, answers, problems=[wrong, *_NO_ROOM])
    end = "`end` = the stream has ended; any other value is ignored."
    last = [parameter("Last-Event-ID", TEXT, where="header", text=end), parameter("lastEventId", TEXT, text=end)]
    return {**found, "parameters": [*names, *last]}


def _socket() -> Json:
    answers = {"101": {"description": _SOCKET}}
    wrong = [errors.UpgradeRequired, errors.InvalidRequest, *_NO_ROOM]
    return operation("The WebSocket", answers, _SOCKET, wrong)


def _cancel() -> Json:
    return operation(
        "Ask fal to cancel a job; for an API key or the job's owner",
        {"202": json_answer("fal was asked to cancel; the job's state.", reference("JobJson"), **_ETAG)},
        problems=[
            *_NOT_THERE,
            *(errors.UnknownToFal, errors.AlreadyTerminal, errors.EndpointUnknown),
            *(errors.FalRejected, errors.FalUnreachable),
        ],
    )


def _retry() -> Json:
    found = operation(
        "Submit an ended job's input again, as a new job; for an API key or the job's owner",
        {"202": json_answer("Submitted; the new job is stored.", reference("Submitted"), Location=_LOCATION)},
        problems=[*_NOT_THERE, errors.InvalidRequest, errors.NotTerminal, errors.InputNotKept, *_SUBMIT_PROBLEMS],
    )
    return {**found, "parameters": _IDEMPOTENCY}


def _refresh() -> Json:
    return operation(
        "Ask fal about a pending job now; needs an API key",
        {"202": json_answer("fal has answered; the job's state.", reference("JobJson"), **_ETAG)},
        problems=[
            *_NOT_THERE,
            errors.AlreadyTerminal,
            errors.EndpointUnknown,
            errors.FalRejected,
            errors.FalUnreachable,
        ],
    )


def _journal() -> Json:
    return operation(
        "What happened to a job, in order; needs an API key",
        {"200": json_answer("The journal, and what it says about the job.", reference("JournalJson"))},
        problems=_NOT_THERE,
    )


def _refused() -> Json:
    found = operation(
        "The refused webhooks, the last ones first; needs an API key",
        {"200": json_answer("Equal ones of an hour are counted together.", reference("Refused"))},
        problems=[errors.InvalidRequest, errors.StoreUnavailable],
    )
    limit: Json = {"type": "integer", "minimum": 1, "maximum": MAX_REFUSED, "default": 100}
    found["parameters"] = [parameter("limit", limit)]
    return found


def _remove() -> Json:
    return operation(
        "Remove an ended job and the kept files of its result",
        {"204": {"description": "Removed; its files are being removed."}},
        problems=[*_NOT_THERE, errors.NotTerminal],
    )


def _redeliver() -> Json:
    return operation(
        "Tell the backend again of a job's end",
        {"202": json_answer("It is being told; the job's state.", reference("JobJson"))},
        problems=[*_NOT_THERE, errors.NotTerminal, errors.ForwardingOff],
    )


def _redeliver_since() -> Json:
    answer = json_object(redelivering={"type": "integer", "minimum": 0})
    found = operation(
        "Tell the backend again of all jobs that ended since a time",
        {"202": json_answer("They are being told, in the background.", answer)},
        problems=[errors.InvalidRequest, errors.ForwardingOff],
    )
    return {**found, "parameters": [parameter("since", {"type": "string", "format": "date-time"}, required=True)]}


def _webhook() -> Json:
    answer = json_object(status={"enum": ["accepted", "duplicate"]})
    refused = [errors.Malformed, errors.SignatureMissing, errors.SignatureInvalid, errors.TimestampOutOfRange]
    found = operation(
        "fal's webhook: verified over its raw bytes, committed, then acknowledged",
        {"200": json_answer("Accepted, now or before.", answer)},
        problems=[*refused, errors.UserMismatch, errors.BodyTooLarge, errors.BodyTimeout, *_TRY_AGAIN],
    )
    names = ("Request-Id", "User-Id", "Timestamp", "Signature")
    # Not `required`: a webhook without them gets 401 `signature_missing`.
    found["parameters"] = [parameter(f"X-Fal-Webhook-{name}", TEXT, where="header") for name in names]
    found["requestBody"] = {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
    return found


def _ready() -> Json:
    checks = {
        "status": {"enum": ["ok", "degraded", "unavailable"]},
        "checks": {"type": "object", "additionalProperties": TEXT},
    }
    reasons = {"type": "object", "additionalProperties": json_object(code=TEXT, detail=TEXT)}
    answers = {
        "200": json_answer(
            "`ok`, or `degraded`: nothing is lost, `checks` names what is unavailable.", json_object(**checks)
        ),
        "503": json_answer(
            "The database accepts no writes, or the server drains.", json_object(**checks, reasons=reasons)
        ),
    }
    return operation("Readiness: may clients be routed to this node?", answers)


_BODY = "Times out after 30 s, plus 1 s per 16 KiB. `options` are fal's request headers by name."
_BODY_PROBLEMS = (errors.InvalidRequest, errors.BodyTooLarge, errors.BodyTimeout, errors.StoreUnavailable, errors.Busy)
_SUBMIT_PROBLEMS = (
    *(errors.FalRejected, errors.FalUnreachable, errors.RateLimited),
    *(errors.IdempotencyConflict, errors.IdempotencyMismatch, errors.SubmitOutcomeUnknown),
)
_KEY: Json = {"type": "string", "pattern": r"^[\x21-\x7e]{1,255}$"}
_YES: Json = {"type": "string", "enum": ["yes"]}
_IDEMPOTENCY = [
    parameter(
        "Idempotency-Key", _KEY, where="header", text="Repeating a submit with the same key returns the same job."
    ),
    parameter("Idempotency-Retry", _YES, where="header", text="Submit again after submit_outcome_unknown."),
]
_LOCATION = header("The job's path.")
_TRY_AGAIN = (errors.StoreUnavailable, errors.KeysUnavailable, errors.Busy)
_NO_ROOM = (errors.TooManyStreams, errors.Draining, errors.TooManyStreamsOfClient)
_NOT_THERE = (errors.BadPath, errors.JobNotFound, errors.StoreUnavailable)


_METRICS: Json = {
    "description": "Prometheus' text format, or OpenMetrics by `Accept`.",
    "content": {"text/plain": {"schema": TEXT}, "application/openmetrics-text": {"schema": TEXT}},
}
_OPTIONAL: Json = {"type": ["string", "null"]}
ANSWERS: Json = {
    "Refused": json_object(refused={"type": "array", "items": reference("RefusedJson")}),
    "Page": json_object(jobs={"type": "array", "items": reference("JobJson")}, nextCursor=_OPTIONAL),
    "Submitted": json_object(
        requestId=TEXT,
        status=TEXT,
        job=reference("JobJson"),
        token=_OPTIONAL,
        expiresAt=_OPTIONAL,
        links=json_object(status=TEXT, events=TEXT, cancel=TEXT),
    ),
}
