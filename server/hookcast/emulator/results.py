"""A job's result or error, and the bodies that report it; pure but for the sizes of two small files."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TypeAlias

import msgspec
from msgspec import Raw

from hookcast.emulator.content import IMAGE, MEDIA_FOLDER, SAMPLES, VIDEO
from hookcast.emulator.faults import Fault
from hookcast.emulator.hosted import makes_images, named_files
from hookcast.emulator.queue import LOG_LINES, STARTS, Job, Moment, Phase

JsonObject: TypeAlias = dict[str, object]

IMAGE_SIZE = (640, 360)
BIG_RESULT_BYTES = 1024 * 1024

PAYLOAD_ERROR = (
    "Response payload is not JSON serializable. Either return a JSON serializable object or use "
    "the queue endpoint to retrieve the response."
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a job: the response to a request for its result, and the error in status and webhook."""

    http_status: int
    body: JsonObject
    error: str | None = None
    error_type: str | None = None


def outcome(job: Job) -> Outcome:
    """Return how this job ends."""
    return failure(job) or Outcome(200, result(job))


def failure(job: Job) -> Outcome | None:
    """Return the error of a job that fails. A cancelled job ends with an error, whatever faults were requested."""
    if job.cancelled:
        return _request_error(499, "Request was cancelled", "client_cancelled")
    if Fault.INFRASTRUCTURE_ERROR in job.wishes.faults:
        return _request_error(500, "Runner failed with a server error", "runner_server_error")
    if Fault.RUNNER_LOST in job.wishes.faults:
        return _request_error(503, "Runner disconnected unexpectedly", "runner_disconnected")
    if Fault.MODEL_ERROR in job.wishes.faults:
        return _model_error()
    if Fault.PROMPT_BLOCKED in job.wishes.faults:
        return Outcome(400, {"error": {"message": "Prompt blocked"}}, error="Invalid status code: 400")
    return None


def result(job: Job) -> JsonObject:
    """Return a result in the shape of fal's own models, with the requested files or a small one."""
    found = named_files(job) or _sample(job)
    if makes_images(job.endpoint_id):
        found |= _about_images(job)
    if Fault.BIG_RESULT in job.wishes.faults:
        found["filler"] = "x" * BIG_RESULT_BYTES
    return found


def seed(request_id: str) -> int:
    """Return an odd integer between 2^53 and 2^63, constant for a job: no double can represent it."""
    digest = hashlib.sha256(request_id.encode()).digest()
    return (int.from_bytes(digest[:8]) >> 1) | (1 << 53) | 1


def binary_result(job: Job) -> bytes | None:
    """Return the result of a model that answers with a file instead of JSON; None for every other job."""
    wanted = Fault.BINARY_RESULT in job.wishes.faults and failure(job) is None
    return (MEDIA_FOLDER / SAMPLES[IMAGE]).read_bytes() if wanted else None


def status_body(job: Job, moment: Moment, *, with_logs: bool, skip_logs: int = 0) -> JsonObject:
    """Return the status JSON; `logs` is null unless requested, and omits the first `skip_logs` lines."""
    body: JsonObject = {"status": moment.phase, "request_id": job.request_id, **urls(job)}
    if moment.queue_position is not None:
        body["queue_position"] = moment.queue_position
    body["logs"] = _logs(job, skip_logs, moment.log_lines) if with_logs else None
    if moment.phase is Phase.COMPLETED:
        failed = failure(job)
        body["metrics"] = {"inference_time": round(max(job.ends - STARTS, 0.0) / job.speed, 3)}
        if failed is not None:
            body |= {"error": failed.error, "error_type": failed.error_type}
    return _odd(body) if Fault.ODD_STATUS in job.wishes.faults else body


def _odd(body: JsonObject) -> JsonObject:
    """Return a status that differs from fal's documentation: numbers as text, text as numbers, malformed log lines."""
    odd = {**body, "status": str(body["status"]).lower()}
    if "queue_position" in odd:
        odd["queue_position"] = str(odd["queue_position"])
    logs = odd["logs"]
    if isinstance(logs, list):
        odd["logs"] = [*({**line, "timestamp": 1795510800.5, "level": 20} for line in logs), None, {"message": None}]
    return odd


def urls(job: Job) -> JsonObject:
    """Return the three URLs of a job, under fal's names."""
    suffix = "/response" if Fault.RESPONSE_SUFFIX in job.wishes.faults else ""
    return {
        "response_url": job.url + suffix,
        "status_url": f"{job.url}/status",
        "cancel_url": f"{job.url}/cancel",
    }


def webhook_body(job: Job) -> bytes:
    """Encode the webhook's JSON. A model's own error is its payload; a queue error leaves the payload null."""
    ended = outcome(job)
    unserializable = job.wishes.faults & {Fault.PAYLOAD_ERROR, Fault.BINARY_RESULT} and ended.error is None
    told = ended.error is None or "error_type" not in ended.body
    body: JsonObject = {
        "request_id": job.request_id,
        "gateway_request_id": job.request_id,
        "status": "OK" if ended.error is None else "ERROR",
        "payload": ended.body if told and not unserializable else None,
        "error": ended.error,
        "payload_error": PAYLOAD_ERROR if unserializable else None,
    }
    return msgspec.json.encode(body)


def _request_error(http_status: int, text: str, kind: str) -> Outcome:
    return Outcome(http_status, {"detail": text, "error_type": kind}, error=text, error_type=kind)


def _model_error() -> Outcome:
    detail = {
        "loc": ["body", "prompt"],
        "msg": "The emulator was asked for a model error",
        "type": "value_error",
    }
    return Outcome(422, {"detail": [detail]}, error="Invalid status code: 422", error_type="validation_error")


def _sample(job: Job) -> JsonObject:
    if not makes_images(job.endpoint_id):
        return {"video": _file(job, VIDEO)}
    width, height = IMAGE_SIZE
    return {"images": [{**_file(job, IMAGE), "width": width, "height": height}]}


def _about_images(job: Job) -> JsonObject:
    return {
        "timings": {"inference": 1.25},
        "seed": seed(job.request_id),
        "has_nsfw_concepts": [False],
        "prompt": Raw(job.prompt),
    }


def _file(job: Job, content_type: str) -> JsonObject:
    name = SAMPLES[content_type]
    return {
        "url": f"{job.base_url}media/{name}",
        "content_type": content_type,
        "file_name": name,
        "file_size": _size(name),
    }


@cache
def _size(name: str) -> int:
    return (MEDIA_FOLDER / name).stat().st_size


def _logs(job: Job, first: int, end: int) -> list[JsonObject]:
    return [
        {
            "message": message,
            "timestamp": _timestamp(job.submitted_at + at / job.speed),
            "level": "INFO",
            "source": "USER",
        }
        for at, message in LOG_LINES[first:end]
    ]


def _timestamp(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="microseconds")
