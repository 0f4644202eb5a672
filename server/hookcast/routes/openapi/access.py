"""Add authentication to the OpenAPI document; pure."""

from typing import Any

from hookcast import errors
from hookcast.errors import HookcastError
from hookcast.routes.openapi.parts import LABEL, TEXT, Json, json_answer, json_object, refusal

_NAMES: Json = {"type": "array", "items": LABEL}
_GUARDED = ("/api/fal-jobs", "/api/tokens", "/api/webhooks/refused", "/metrics")
_UNAUTHORIZED = (errors.Unauthorized, errors.TokenInvalid, errors.TokenExpired)


def with_access(document: Json) -> Json:
    """Return the document of a server that requires credentials; `document` is that of an open server."""
    paths = {
        path: {name: _guarded(path, item) for name, item in methods.items()}
        for path, methods in document["paths"].items()
    }
    schemes = {"bearer": _BEARER, "token": _TOKEN}
    return {
        **document,
        "paths": {**paths, "/api/tokens": {"post": _guarded("/api/tokens", _MINT)}},
        "components": {**document["components"], "securitySchemes": schemes},
    }


def _guarded(path: str, operation: Any) -> Any:
    """Return the operation with its security, 401 and 403; public operations are unchanged."""
    if not path.startswith(_GUARDED) or not isinstance(operation, dict):
        return operation
    security: list[dict[str, list[str]]] = [{"bearer": []}]
    if path.endswith(("/events", "/ws")):
        security.append({"token": []})
    forbidden: list[type[HookcastError]] = [errors.Forbidden]
    if path.endswith("/ws"):
        forbidden.append(errors.OriginNotAllowed)
    unauthorized = {**refusal(_UNAUTHORIZED), "headers": _CHALLENGE}
    refusals = {"401": unauthorized, "403": refusal(forbidden)}
    return {**operation, "security": security, "responses": {**operation["responses"], **refusals}}


_BEARER = {"type": "http", "scheme": "bearer", "description": "An API key (full access), or a stream token (JWT)."}
_TOKEN = {
    "type": "apiKey",
    "in": "query",
    "name": "token",
    "description": "A stream token, for EventSource, which cannot send headers.",
}
_CHALLENGE: Json = {"WWW-Authenticate": {"description": "RFC 6750 section 3.", "schema": TEXT}}
_MINT: Json = {
    "summary": "Mint a stream token; needs an API key",
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "sub": {**LABEL, "description": "Sees the jobs of this owner."},
                        "jobs": {**_NAMES, "description": "Sees these requestIds."},
                        "groups": {**_NAMES, "description": "Sees the jobs of these groups."},
                        "expiresIn": {"type": "number", "exclusiveMinimum": 0, "description": "Seconds."},
                    },
                }
            }
        },
    },
    "responses": {
        "201": json_answer(
            "The token; null on an open server, which needs none.",
            json_object(
                token={"type": ["string", "null"]}, expiresAt={"type": ["string", "null"], "format": "date-time"}
            ),
        ),
        "409": refusal([errors.NoTokenSecret]),
        "422": refusal([errors.InvalidRequest]),
    },
}
