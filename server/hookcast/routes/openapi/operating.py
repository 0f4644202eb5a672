"""The operations for fal, for operators and for what watches a server; pure."""

from hookcast import errors
from hookcast.routes.journal import MAX_REFUSED
from hookcast.routes.openapi.parts import TEXT, Json, json_answer, json_object, operation, parameter, reference

_TRY_AGAIN = (errors.StoreUnavailable, errors.KeysUnavailable, errors.Busy)
_METRICS: Json = {
    "description": "Prometheus' text format, or OpenMetrics by `Accept`.",
    "content": {"text/plain": {"schema": TEXT}, "application/openmetrics-text": {"schema": TEXT}},
}


def operating_paths() -> Json:
    """Return these operations, by path."""
    return {
        "/api/redeliver": {"post": _redeliver_since()},
        "/api/webhooks/fal": {"post": _webhook()},
        "/api/webhooks/refused": {"get": _refused()},
        "/healthz": {"get": operation("Liveness", {"200": json_answer("It answers.", _alive())})},
        "/readyz": {"get": _ready()},
        "/metrics": {"get": operation("Metrics for Prometheus", {"200": _METRICS})},
        "/openapi.json": {"get": operation("This document", {"200": json_answer("OpenAPI 3.1.", {"type": "object"})})},
    }


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


def _refused() -> Json:
    found = operation(
        "The refused webhooks, the last ones first; needs an API key",
        {"200": json_answer("Equal ones of an hour are counted together.", reference("Refused"))},
        problems=[errors.InvalidRequest, errors.StoreUnavailable],
    )
    limit: Json = {"type": "integer", "minimum": 1, "maximum": MAX_REFUSED, "default": 100}
    found["parameters"] = [parameter("limit", limit)]
    return found


def _alive() -> Json:
    return json_object(status=TEXT, now={"type": "string", "format": "date-time", "description": "The server's time."})


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
