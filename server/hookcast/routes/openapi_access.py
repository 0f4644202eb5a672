"""What authentication adds to the OpenAPI document; pure."""

from typing import Any

_NAMES = {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 200}}
_UNAUTHORIZED = ("unauthorized", "token_invalid", "token_expired")


def with_access(document: dict[str, Any]) -> dict[str, Any]:
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
    if not path.startswith(("/api/fal-jobs", "/api/tokens", "/metrics")) or not isinstance(operation, dict):
        return operation
    security: list[dict[str, list[str]]] = [{"bearer": []}]
    if path.endswith(("/events", "/ws")):
        security.append({"token": []})
    forbidden = ("origin_not_allowed", "forbidden") if path.endswith("/ws") else ("forbidden",)
    refusals = {"401": _refusal(*_UNAUTHORIZED), "403": _refusal(*forbidden)}
    return {**operation, "security": security, "responses": {**operation["responses"], **refusals}}


def _refusal(*codes: str) -> dict[str, Any]:
    schema = {"allOf": [{"$ref": "#/components/schemas/Problem"}, {"properties": {"code": {"enum": codes}}}]}
    found: dict[str, Any] = {
        "description": ", ".join(f"`{code}`" for code in codes),
        "content": {"application/problem+json": {"schema": schema}},
    }
    if codes == _UNAUTHORIZED:
        found["headers"] = {"WWW-Authenticate": {"description": "RFC 6750 section 3.", "schema": {"type": "string"}}}
    return found


_BEARER = {"type": "http", "scheme": "bearer", "description": "An API key (full access), or a stream token (JWT)."}
_TOKEN = {
    "type": "apiKey",
    "in": "query",
    "name": "token",
    "description": "A stream token: EventSource sends no header.",
}
_MINT = {
    "summary": "Mint a stream token; needs an API key",
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "sub": {"type": "string", "description": "Sees the jobs of this owner."},
                        "jobs": {**_NAMES, "description": "Sees these requestIds."},
                        "groups": {**_NAMES, "description": "Sees the jobs of these groups."},
                        "expiresIn": {"type": "number", "exclusiveMinimum": 0, "description": "Seconds."},
                    },
                }
            }
        },
    },
    "responses": {
        "201": {
            "description": "The token; null where no secret is set and everybody may see everything.",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["token", "expiresAt"],
                        "properties": {
                            "token": {"type": ["string", "null"]},
                            "expiresAt": {"type": ["string", "null"], "format": "date-time"},
                        },
                    }
                }
            },
        },
        "409": _refusal("no_token_secret"),
        "422": _refusal("invalid_request"),
    },
}
