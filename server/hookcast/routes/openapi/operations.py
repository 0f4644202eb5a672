"""Every operation of the HTTP API, by path and method, and the schemas of their answers; pure."""

from hookcast.routes.openapi.jobs import job_paths
from hookcast.routes.openapi.operating import operating_paths
from hookcast.routes.openapi.parts import TEXT, Json, json_object, reference
from hookcast.routes.openapi.streams import stream_paths

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


def paths() -> Json:
    """Return the operations of an open server."""
    return {**job_paths(), **stream_paths(), **operating_paths()}
