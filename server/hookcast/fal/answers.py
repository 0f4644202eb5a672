"""Parse fal's answers leniently: an invalid field counts as missing; pure."""

import json
import re
from datetime import UTC, datetime
from enum import Enum
from urllib.parse import unquote

from msgspec import DecodeError, Raw, Struct
from msgspec import json as msgspec_json

from hookcast.errors import FalRejected, FalUnreachable
from hookcast.fal.addresses import MAX_URL_LENGTH
from hookcast.fal.lenient_json import BYTE_ORDER_MARK, MAX_DIGITS, REPLACEMENT, decode, read
from hookcast.fal.sentences import UNKNOWN_REASON, error_type_of, sentence
from hookcast.jobs import Failed, Phase, Progressed, valid_request_id
from hookcast.loglines import LogLine, log_line
from hookcast.nesting import too_deep
from hookcast.wire import rfc3339

MAX_NUMBER = 2**31 - 1  # of an INTEGER column in PostgreSQL
MAX_WINDOW_LINES = 1000
YEAR_5138 = 1e11  # in seconds; in milliseconds 1973

# Words that fal does not document, and what they say where the status gives no reason.
_FAILED = {"FAILED": "", "ERROR": "", **dict.fromkeys(("CANCELLED", "CANCELED"), "The request was cancelled at fal.")}
_PHASES = {
    "IN_QUEUE": Phase.QUEUED,
    "IN_PROGRESS": Phase.RUNNING,
    # fal has one status for every end; only the result tells which it was.
    **dict.fromkeys(("COMPLETED", *_FAILED), Phase.SAVING),
}
_ERRORS = ("error", "errors", "error_message")
_NO_REASON = frozenset({"status", "logs", "error_type"})
_ID_IN_URL = re.compile(r"/requests/([^/?#]+)")


class Submitted(Struct, frozen=True):
    """fal's answer to a submit."""

    request_id: str
    response_url: str | None = None
    status_url: str | None = None
    cancel_url: str | None = None
    queue_position: int | None = None


class CancelAnswer(Enum):
    """fal's answer to a cancel request."""

    REQUESTED = "CANCELLATION_REQUESTED"
    REMOVED = "OK"
    ALREADY_COMPLETED = "ALREADY_COMPLETED"
    NOT_FOUND = "NOT_FOUND"


class Status(Struct, frozen=True):
    """fal's status of a request.

    A request with an `error` has failed for good, whatever its result answers; it is empty when fal gives no reason.
    """

    progress: Progressed
    error: str | None = None
    error_type: str | None = None

    @property
    def finished(self) -> bool:
        """True when fal is done with the request, however it ended."""
        return self.progress.phase is Phase.SAVING


def submitted(content: bytes, named: str | None = None) -> Submitted:
    """Return the answer to a submit; `named` is the request id in its headers.

    Raises FalUnreachable when neither they nor the answer's URLs have one: the request cannot be found again.
    """
    fields = _object(content)
    in_urls = (_ID_IN_URL.search(_url(fields.get(name)) or "") for name in ("response_url", "status_url", "cancel_url"))
    ids = (
        _request_id(fields.get("request_id")),
        _request_id(named),
        *(_request_id(unquote(match[1])) for match in in_urls if match),
    )
    request_id = next((found for found in ids if found is not None), None)
    if request_id is None:
        raise FalUnreachable("fal's answer is not as documented: it has no valid request_id.")
    return Submitted(
        request_id=request_id,
        response_url=_url(fields.get("response_url")),
        status_url=_url(fields.get("status_url")),
        cancel_url=_url(fields.get("cancel_url")),
        queue_position=_whole(fields.get("queue_position")),
    )


def status(content: bytes) -> Status:
    """Return the status in an answer. Raises FalUnreachable when it has no readable field."""
    fields = _object(content)
    error, error_type = _error(fields), error_type_of(fields)
    failed = error is not None
    position, logs = _whole(fields.get("queue_position")), _lines(fields.get("logs"))
    phase = _phase(fields.get("status"))
    if phase is None:
        if not (failed or logs or position is not None):
            raise FalUnreachable("fal's answer is not as documented: it is not the status of a request.")
        phase = Phase.SAVING if failed else Phase.RUNNING if position is None else Phase.QUEUED
    return Status(
        progress=Progressed(phase=phase, queue_position=position, logs=logs),
        error=error,
        error_type=error_type,
    )


def _error(fields: dict[str, object]) -> str | None:
    """Return the reason of a failure, empty when there is none; None when the request has not failed."""
    word, error_type = _word(fields.get("status")), error_type_of(fields)
    if word in _FAILED:
        reasons = {name: value for name, value in fields.items() if name not in _NO_REASON}
        return sentence(reasons, error_type, otherwise=_FAILED[word])
    told = [fields[name] for name in _ERRORS if fields.get(name)]
    if word == "COMPLETED" and fields.get("detail"):  # the member of fal's error bodies; no status of a success has it
        told.append(fields["detail"])
    return sentence(*told, error_type, otherwise="") if told or error_type is not None else None


_MISSING = frozenset({*range(300, 400), 401, 403, 404, 408, 410, 429})


def failed(rejected: FalRejected | None, told: Status | None) -> Failed:
    """Return the failure, from fal's answer to the request for the result and from its status."""
    body = None if rejected is None else rejected.raw_body
    types = [error.error_type for error in (rejected, told) if error is not None and error.error_type is not None]
    sources = [None if rejected is None else rejected.fal_body, None if told is None else told.error]
    if rejected is not None and (rejected.fal_status >= 500 or rejected.fal_status in _MISSING):
        sources.reverse()  # the status says why there is no result; this answer only that there is none
        if rejected.fal_status in _MISSING and sources[0] == "":
            sources[0] = UNKNOWN_REASON
    error = sentence(
        *sources,
        *types,
        otherwise=str(rejected or UNKNOWN_REASON),
    )
    return Failed(error=error, detail=_detail(body, error, types))


def cancelled(code: int, content: bytes) -> CancelAnswer | None:
    """Return the meaning of an answer to a cancel request, by its `status` and HTTP status; None when undocumented."""
    if code in _CANCEL_CODES and (word := _word(_object(content).get("status"))) in _CANCEL_WORDS:
        return CancelAnswer(word)
    return _CANCEL_CODES.get(code)


_CANCEL_CODES = {
    200: CancelAnswer.REMOVED,
    202: CancelAnswer.REQUESTED,
    400: CancelAnswer.ALREADY_COMPLETED,
    404: CancelAnswer.NOT_FOUND,
}
_CANCEL_WORDS = {answer.value for answer in CancelAnswer} - {CancelAnswer.REMOVED.value}


def json_of(content: bytes) -> Raw | None:
    """Return the JSON, byte for byte; None when it is invalid, or nested deeper than clients can read."""
    try:
        return None if too_deep(content) else Raw(bytes(decode(content.removeprefix(BYTE_ORDER_MARK), Raw)))
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _detail(body: Raw | None, error: str, types: list[str]) -> Raw | None:
    """Return fal's error body, byte for byte but for an `error_type` that only the status or a header has."""
    fields = _fields(body)
    if not types or (body is not None and fields is None) or "error_type" in (fields or {}):
        return body
    members = fields or {"error": Raw(msgspec_json.encode(error))}
    return Raw(msgspec_json.encode(members | {"error_type": Raw(msgspec_json.encode(types[0]))}))


def _fields(body: Raw | None) -> dict[str, Raw] | None:
    try:
        return None if body is None else decode(bytes(body), dict[str, Raw])
    except DecodeError:
        return None


def _object(content: bytes) -> dict[str, object]:
    try:
        found = read(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _request_id(value: object) -> str | None:
    text = str(value) if type(value) is int else value
    return text if isinstance(text, str) and valid_request_id(text) and REPLACEMENT not in text else None


def _url(value: object) -> str | None:
    return value if isinstance(value, str) and value.isprintable() and len(value) <= MAX_URL_LENGTH else None


def _whole(value: object) -> int | None:
    """Return a number that every database can hold, also from `3.0` and `"3"`."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= MAX_DIGITS:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1:
        return None
    return int(value) if 0 <= value <= MAX_NUMBER else None


def _word(value: object) -> str | None:
    return value.strip().upper().replace("-", "_").replace(" ", "_") if isinstance(value, str) else None


def _phase(value: object) -> Phase | None:
    """Return the phase for fal's status. An unknown status counts as running: the job is neither queued nor done."""
    word = _word(value)
    return _PHASES.get(word, Phase.RUNNING) if word else None


def _lines(value: object) -> tuple[LogLine, ...]:
    found = value.splitlines() if isinstance(value, str) else value if isinstance(value, list) else []
    lines = (_line(each) for each in found[-MAX_WINDOW_LINES:])
    return tuple(line for line in lines if line is not None)


def _line(value: object) -> LogLine | None:
    fields: dict[str, object] = value if isinstance(value, dict) else {"message": value}
    message, level = fields.get("message"), fields.get("level")
    if message is None:
        return None
    return log_line(
        message if isinstance(message, str) else json.dumps(message, ensure_ascii=False),
        _timestamp(fields.get("timestamp")),
        level if isinstance(level, str) else None,
    )


def _timestamp(value: object) -> str | None:
    """Return the time as text; a number counts seconds, milliseconds or smaller units since 1970."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < YEAR_5138 * 1e9:
        return value if isinstance(value, str) else None
    seconds = next((value / unit for unit in (1, 1e3, 1e6, 1e9) if value / unit < YEAR_5138), None)
    return None if seconds is None else rfc3339(datetime.fromtimestamp(seconds, UTC))
