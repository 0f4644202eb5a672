"""GET /openapi.json: the HTTP API as OpenAPI 3.1; pure.

Schemas come from the structs that the handlers decode, problems from the classes in `errors/`: neither can drift.
Source: OpenAPI Specification 3.1.1; JSON Schema 2020-12; RFC 9457.
"""

from functools import cache

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from hookcast import __version__
from hookcast.problems import json_response
from hookcast.routes.journal import JournalJson, RefusedJson
from hookcast.routes.openapi.access import with_access
from hookcast.routes.openapi.operations import ANSWERS, paths
from hookcast.routes.openapi.parts import ANYWHERE, REF, REQUEST_ID, Json, parameter, problem_schema
from hookcast.routes.submit import Facts, Submission
from hookcast.wire import JobJson


async def openapi(_request: Request) -> Response:
    """Handle GET /openapi.json."""
    return json_response(_encoded(), headers={"Cache-Control": "no-cache"})


@cache
def _encoded() -> bytes:
    return msgspec.json.encode(describe())


@cache
def describe() -> Json:
    """Return the complete document, always the same object."""
    return with_access(_open())


def codes(method: str, path: str) -> list[str]:
    """Return the codes of the operation's own problems; not of those that are answered before it."""
    narrowed = [
        content["schema"]["allOf"][1]["properties"]["code"]["enum"]
        for answer in describe()["paths"][path][method]["responses"].values()
        for media_type, content in answer.get("content", {}).items()
        if media_type == "application/problem+json"
    ]
    return sorted({code for codes in narrowed for code in codes} - {problem.code for problem in ANYWHERE})


_SHAPES = (JobJson, Submission, Facts, JournalJson, RefusedJson)


def _open() -> Json:
    _, schemas = msgspec.json.schema_components(_SHAPES, ref_template=REF)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Hookcast",
            "version": __version__,
            "license": {"name": "MIT", "identifier": "MIT"},
            "description": "fal.ai webhooks in, live job events out. Errors are RFC 9457 problems with a stable code.",
        },
        "paths": paths(),
        "components": {
            "schemas": {**schemas, "Problem": problem_schema(), **ANSWERS},
            "parameters": {"requestId": parameter("requestId", REQUEST_ID, where="path", required=True)},
        },
    }
