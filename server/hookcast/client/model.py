"""The client's view of a job. Unknown keys and values are accepted, for compatibility with newer servers."""

from datetime import datetime
from typing import Any, TypeVar, overload

import msgspec
from msgspec import Raw, Struct, field

_T = TypeVar("_T")
_NULL = Raw(b"null")


class LogLine(Struct, frozen=True, kw_only=True):
    """One line of the model's log; `timestamp` is text, as sent by fal."""

    message: str = ""
    timestamp: str | None = None
    level: str | None = None


class Progress(Struct, frozen=True, kw_only=True, rename="camel"):
    """A job's progress: `phase` is queued, running, saving or cancelling, then ended.

    `expected_seconds` counts from creation.
    """

    phase: str = "queued"
    queue_position: int | None = None
    logs: tuple[LogLine, ...] = ()
    started_at: datetime | None = None
    expected_seconds: float | None = None


class MediaFile(Struct, frozen=True, kw_only=True, rename="camel"):
    """A file of the result and its copy: `status` is waiting, copying, kept, or left where it was (`error` says why).

    `source` is fal's URL, `url` the copy's; None until it is kept. `bytes` counts what is copied so far, of `size` in
    total; None while unknown. A `url` that begins with a slash is a path on the server.
    """

    source: str
    url: str | None = None
    content_type: str | None = None
    bytes: int = 0
    size: int | None = None
    sha256: str | None = None
    status: str = "waiting"
    error: str | None = None


class Job(Struct, frozen=True, kw_only=True, rename="camel"):
    """One version of a job's whole state: docs/protocol.md, "A state". Times are timezone-aware, in UTC.

    `result_json` and `error_detail` are fal's own JSON, byte for byte; `null` until there is one. `ended_by` is
    webhook, asked, timeout or cancelled; None until the job has ended. `media` is empty unless the server keeps the
    files of results. `retry_of` is the requestId of the job that this one retries. `body` is the whole state as
    received.
    """

    request_id: str
    status: str
    version: int
    endpoint_id: str | None = None
    progress: Progress = Progress()
    result_json: Raw = field(name="result", default=_NULL)
    error: str | None = None
    error_detail: Raw = _NULL
    ended_by: str | None = None
    media: tuple[MediaFile, ...] = ()
    owner: str | None = None
    group: str | None = None
    metadata: dict[str, Any] = {}
    retry_of: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    completed_at: datetime | None = None
    body: bytes = field(name="$body", default=b"")

    @property
    def ended(self) -> bool:
        """True once the job is completed, failed or cancelled: its state is final."""
        return self.status in {"completed", "failed", "cancelled"}

    @overload
    def result(self) -> Any: ...
    @overload
    def result(self, as_type: type[_T]) -> _T: ...
    def result(self, as_type: Any = Any) -> Any:
        """Return the model's output, converted by msgspec to `as_type`; integers keep every digit.

        Raises msgspec.DecodeError when it does not match `as_type`.
        """
        return msgspec.json.decode(self.result_json, type=as_type)

    @property
    def line(self) -> str:
        """The whole state as one line of JSON; line breaks between tokens become spaces."""
        return self.body.decode().replace("\r", " ").replace("\n", " ")

    def __repr__(self) -> str:
        return f"Job({self.request_id!r}, {self.status!r}, version={self.version})"


class Submitted(Struct, frozen=True, kw_only=True):
    """The response to a submit. `token` lets a browser watch this job until `expires_at`; None where none is needed."""

    job: Job
    token: str | None
    expires_at: datetime | None

    @property
    def request_id(self) -> str:
        """The job's requestId."""
        return self.job.request_id


class _Taken(Struct, rename="camel"):
    job: Raw
    token: str | None = None
    expires_at: datetime | None = None


_JOB = msgspec.json.Decoder(Job)


def decode_job(body: bytes) -> Job:
    """Decode a state from the server. Raises ValueError when invalid (msgspec.DecodeError, UnicodeDecodeError)."""
    body.decode()  # msgspec does not validate UTF-8 in Raw fields
    job = _JOB.decode(body)
    msgspec.structs.force_setattr(job, "body", body)
    return job


def decode_submitted(body: bytes) -> Submitted:
    """Decode the response to a submit. Raises ValueError when invalid."""
    taken = msgspec.json.decode(body, type=_Taken)
    return Submitted(job=decode_job(bytes(taken.job)), token=taken.token, expires_at=taken.expires_at)
