"""The parts of an OpenAPI operation: parameters, bodies, responses and problems; pure."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from hookcast import errors
from hookcast.errors import HookcastError
from hookcast.labels import Label
from hookcast.push.messages import MAX_NAMES

Json = dict[str, Any]
REF = "#/components/schemas/{name}"
TEXT: Json = {"type": "string"}
LABEL: Json = msgspec.json.schema(Label)
REQUEST_ID: Json = {
    "type": "string",
    "minLength": 1,
    "maxLength": 200,
    "pattern": r"^(?!(events|ws|refused)$)(?!.*\.\.)[^/\\\x00-\x1f\x7f-\x9f]+$",
}
ONE = "/api/fal-jobs/{requestId}"
OF_JOB: Json = {"parameters": [{"$ref": "#/components/parameters/requestId"}]}
_RETRY_AFTER: Json = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
ANYWHERE = (errors.BadRequest, errors.UrlTooLong, errors.HeadTooLarge, errors.HeadTimeout)


def operation(
    summary: str, answers: Json, description: str | None = None, problems: Iterable[type[HookcastError]] = ()
) -> Json:
    """Return an operation: its answers, and one response for each status of its problems."""
    found: Json = {"summary": summary, "responses": {**answers, **_refusals(problems)}}
    return found if description is None else {**found, "description": description}


def _refusals(problems: Iterable[type[HookcastError]]) -> Json:
    """Return one response per status, with its possible codes."""
    by_status: dict[str, list[type[HookcastError]]] = {}
    for problem in problems:
        by_status.setdefault(str(problem.status), []).append(problem)
    if by_status and "503" not in by_status:
        by_status["503"] = [errors.StoreUnavailable]
    for problem in ANYWHERE:
        by_status.setdefault(str(problem.status), []).append(problem)
    return {status: refusal(kinds) for status, kinds in by_status.items()}


def refusal(kinds: Sequence[type[HookcastError]]) -> Json:
    """Return the response of one status, with its possible codes."""
    codes = {kind.code: kind.title for kind in kinds}
    narrowed = {"properties": {"code": {"enum": list(codes)}}}
    schema = {"allOf": [{"$ref": REF.format(name="Problem")}, narrowed]}
    found: Json = {
        "description": " ".join(f"`{code}`: {title}." for code, title in codes.items()),
        "content": {"application/problem+json": {"schema": schema}},
    }
    return (
        {**found, "headers": _RETRY_AFTER}
        if all(issubclass(kind, errors.Unavailable | errors.LimitReached) for kind in kinds)
        else found
    )


def problem_schema() -> Json:
    """Return the RFC 9457 schema with `code`; `falStatus` and `falBody` are present with `fal_rejected`."""
    return {
        "type": "object",
        "required": ["title", "status", "detail", "code"],
        "properties": {
            **dict.fromkeys(("title", "detail", "code"), TEXT),
            "status": {"type": "integer"},
            "falStatus": {"type": "integer"},
            "falBody": {},
        },
    }


def json_object(**members: Any) -> Json:
    """Return the schema of an object that has all of these members."""
    return {"type": "object", "required": list(members), "properties": members}


def reference(name: str) -> Json:
    """Return a reference to a schema of the components."""
    return {"$ref": REF.format(name=name)}


def json_answer(description: str, schema: Json, **headers: Json) -> Json:
    """Return a response with a JSON body."""
    found: Json = {"description": description, "content": {"application/json": {"schema": schema}}}
    return {**found, "headers": headers} if headers else found


def header(description: str) -> Json:
    """Return a response header."""
    return {"description": description, "schema": TEXT}


def json_body(name: str, *, required: bool) -> Json:
    """Return a request body: JSON of the schema `name`."""
    return {"required": required, "content": {"application/json": {"schema": reference(name)}}}


def parameter(name: str, schema: Json, *, where: str = "query", required: bool = False, text: str = "") -> Json:
    """Return a parameter; `where` is `query`, `header` or `path`."""
    found: Json = {"name": name, "in": where, "required": required, "schema": schema}
    return {**found, "description": text} if text else found


def repeated(name: str, item: Json) -> Json:
    """Return a query parameter that may be repeated."""
    return parameter(name, {"type": "array", "items": item, "maxItems": MAX_NAMES}) | {"explode": True}
