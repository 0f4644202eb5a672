"""A job as the client sees it. Unknown keys and unknown words are accepted, so that a newer server does no harm."""

from datetime import datetime
from typing import Any, TypeVar, overload

import msgspec
from msgspec import Raw, Struct, field

_T = TypeVar("_T")
_NULL = Raw(b"null")


class LogLine(Struct, frozen=True, kw_only=True):
    """One line of the model's log; `timestamp` is text as fal gives it."""

    message: str = ""
    timestamp: str | None = None
    level: str | None = None


class Progress(Struct, frozen=True, kw_only=True, rename="camel"):
    """How far the job is: `phase` is queued, running, saving or cancelling. `expected_seconds` from its creation on."""

    phase: str = "queued"
    queue_position: int | None = None
    logs: tuple[LogLine, ...] = ()
    started_at: datetime | None = None
    expected_seconds: float | None = None


class Job(Struct, frozen=True, kw_only=True, rename="camel"):
    """One version of a job's whole state: docs/protocol.md, "A state". Times are aware, in UTC.

    `result_json` and `error_detail` are fal's own JSON, byte for byte; `null` while there is none. `body` is the whole
    state as it came.
    """

    request_id: str
    status: str
    version: int
    endpoint_id: str | None = None
    progress: Progress = Progress()
    result_json: Raw = field(name="result", default=_NULL)
    error: str | None = None
    error_detail: Raw = _NULL
    owner: str | None = None
    group: str | None = None
    metadata: dict[str, Any] = {}
    created_at: datetime | None = None
    updated_at: datetime | None = None
    completed_at: datetime | None = None
    body: bytes = field(name="$body", default=b"")

    @property
    def ended(self) -> bool:
        """Whether it is completed, failed or cancelled: it will never change again."""
        return self.status in {"completed", "failed", "cancelled"}

    @overload
    def result(self) -> Any: ...
    @overload
    def result(self, as_type: type[_T]) -> _T: ...
    def result(self, as_type: Any = Any) -> Any:
        """The model's output, decoded; whole numbers keep every digit. `as_type` is what msgspec is to make of it.

        Raises msgspec.DecodeError when it is of another shape.
        """
        return msgspec.json.decode(self.result_json, type=as_type)

    @property
    def line(self) -> str:
        """The whole state as one line of JSON. Between JSON tokens a line break is only a space."""
        return self.body.decode().replace("\r", " ").replace("\n", " ")

    def __repr__(self) -> str:
        return f"Job({self.request_id!r}, {self.status!r}, version={self.version})"


_JOB = msgspec.json.Decoder(Job)


def decode_job(body: bytes) -> Job:
    """A state of the server. Raises ValueError when it is none (msgspec.DecodeError, UnicodeDecodeError)."""
    body.decode()  # msgspec does not look into what it leaves raw
    job = _JOB.decode(body)
    msgspec.structs.force_setattr(job, "body", body)
    return job
