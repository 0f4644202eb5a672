"""The meaning of fal's answers: their shapes, phases, and JSON; pure."""

from enum import Enum
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from hookcast.errors import FalUnreachable
from hookcast.fal.addresses import MAX_URL_LENGTH
from hookcast.fal.lenient_json import decode
from hookcast.jobs import LogLine, Phase, Progressed

_T = TypeVar("_T")


class Submitted(Struct, frozen=True):
    """fal's answer to a submit."""

    request_id: str
    response_url: str | None = None
    status_url: str | None = None
    cancel_url: str | None = None
    queue_position: int | None = None


class Taken(Struct):
    """fal's answer to a submit. Only the id is required: an odd optional field must not lose an accepted request."""

    request_id: str
    response_url: object = None
    status_url: object = None
    cancel_url: object = None
    queue_position: object = None

    def submitted(self) -> Submitted:
        """Return what could be read."""
        return Submitted(
            request_id=self.request_id,
            response_url=_url(self.response_url),
            status_url=_url(self.status_url),
            cancel_url=_url(self.cancel_url),
            queue_position=self.queue_position if type(self.queue_position) is int else None,
        )


def _url(value: object) -> str | None:
    fits = isinstance(value, str) and value.isprintable() and len(value) <= MAX_URL_LENGTH
    return value if isinstance(value, str) and fits else None


class CancelAnswer(Enum):
    """fal's answer to a cancel request."""

    REQUESTED = "CANCELLATION_REQUESTED"
    REMOVED = "OK"
    ALREADY_COMPLETED = "ALREADY_COMPLETED"
    NOT_FOUND = "NOT_FOUND"


class _Log(Struct):
    message: str | None = None
    timestamp: str | None = None
    level: str | None = None


class Status(Struct):
    """fal's status of a request."""

    status: str
    queue_position: int | None = None
    logs: list[_Log] | None = None


_PHASES = {"IN_QUEUE": Phase.QUEUED, "IN_PROGRESS": Phase.RUNNING, "COMPLETED": Phase.SAVING}


def progressed(status: Status) -> Progressed:
    """Convert fal's status to an update. An unknown status counts as running: the job is neither queued nor done."""
    logs = tuple(
        LogLine(message=log.message, timestamp=log.timestamp, level=log.level)
        for log in status.logs or ()
        if log.message is not None
    )
    phase = _PHASES.get(status.status, Phase.RUNNING)
    return Progressed(phase=phase, queue_position=status.queue_position, logs=logs)


def json_or_none(content: bytes) -> Raw | None:
    """Return the JSON, or None when it is none."""
    try:
        return raw_json(content)
    except FalUnreachable:
        return None


def raw_json(content: bytes) -> Raw:
    """Return the JSON, byte for byte. Raises FalUnreachable when it is none."""
    try:
        return Raw(bytes(decode(content, Raw)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FalUnreachable(f"fal's answer is no JSON: {error}.") from error


def read(content: bytes, shape: type[_T]) -> _T:
    """Return the answer in its shape. Raises FalUnreachable when it has another."""
    try:
        return decode(content, shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FalUnreachable(f"fal's answer is not as documented: {error}.") from error
