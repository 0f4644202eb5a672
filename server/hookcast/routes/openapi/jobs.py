"""The operations on jobs; pure."""

from hookcast import errors
from hookcast.jobs import JobStatus
from hookcast.routes.jobs import MAX_WAIT_SECONDS
from hookcast.routes.openapi.parts import (
    LABEL,
    OF_JOB,
    ONE,
    TEXT,
    Json,
    header,
    json_answer,
    json_body,
    operation,
    parameter,
    reference,
)
from hookcast.store import Order

_UPDATED = "`updated`: those that changed last come first. It goes with an owner or a group alone."
_LIST_ETAG: Json = {"ETag": {"description": "Changes with the jobs of the page.", "schema": {"type": "string"}}}
_ETAG: Json = {"ETag": {"description": "The version in quotes.", "schema": {"type": "string", "pattern": r'^"\d+"$'}}}
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
_NOT_THERE = (errors.BadPath, errors.JobNotFound, errors.StoreUnavailable)


def job_paths() -> Json:
    """Return the operations on jobs, by path."""
    return {
        "/api/fal-jobs": {"post": _submit(), "get": _list()},
        ONE: {**OF_JOB, "put": _register(), "get": _poll(), "delete": _remove()},
        f"{ONE}/cancel": {**OF_JOB, "post": _cancel()},
        f"{ONE}/retry": {**OF_JOB, "post": _retry()},
        f"{ONE}/refresh": {**OF_JOB, "post": _refresh()},
        f"{ONE}/journal": {**OF_JOB, "get": _journal()},
        f"{ONE}/redeliver": {**OF_JOB, "post": _redeliver()},
    }


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
