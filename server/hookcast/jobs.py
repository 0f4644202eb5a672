"""The job, and the updates that change it (`transitions`); pure."""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum

from msgspec import Raw, Struct

from hookcast.loglines import LogLine
from hookcast.splicing import Spot


def valid_request_id(request_id: str) -> bool:
    """Return whether the id is valid in our paths: 1 to 200 printable characters without `..`, slash or backslash."""
    return (
        0 < len(request_id) <= 200
        and request_id.isprintable()
        and ".." not in request_id
        and "/" not in request_id
        and "\\" not in request_id
    )


class JobStatus(StrEnum):
    """The status that clients act on."""

    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """True when the job has ended: its status and outcome never change again."""
        return self is not JobStatus.PENDING


class Phase(StrEnum):
    """The progress of a job: `ended` once it is terminal."""

    QUEUED = "queued"
    RUNNING = "running"
    SAVING = "saving"
    CANCELLING = "cancelling"
    ENDED = "ended"


class EndedBy(StrEnum):
    """The way the end of a job became known. A cancelled job has `cancelled`, whatever the source."""

    WEBHOOK = "webhook"
    ASKED = "asked"  # fal was asked
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"


class MediaStatus(StrEnum):
    """The state of a file that a result names: `left` = it stays where it was, `error` says why."""

    WAITING = "waiting"
    COPYING = "copying"
    KEPT = "kept"
    LEFT = "left"

    @property
    def settled(self) -> bool:
        """True when nothing is left to do."""
        return self in {MediaStatus.KEPT, MediaStatus.LEFT}


class MediaFile(Struct, frozen=True, kw_only=True):
    """A file that the result names, and its copy in the storage of the operator.

    `source` is its URL, or what precedes the data of a `data:` URI (`data:image/png`). `spots` are its places in
    `result`. `called_a_file`: it stands in one of fal's file objects, so that JSON and text are files, too. `bytes`
    counts what is copied so far, of `size` in total once that is known. `key` is its name in the storage once it is
    kept.
    """

    source: str
    spots: tuple[Spot, ...]
    called_a_file: bool = False
    content_type: str | None = None
    bytes: int = 0
    size: int | None = None
    sha256: str | None = None
    status: MediaStatus = MediaStatus.WAITING
    error: str | None = None
    key: str | None = None


class Progress(Struct, frozen=True, kw_only=True):
    """The progress so far. `expected_seconds` is the usual time from creation to completion."""

    phase: Phase = Phase.QUEUED
    queue_position: int | None = None
    logs: tuple[LogLine, ...] = ()
    started_at: datetime | None = None
    expected_seconds: float | None = None


class Job(Struct, frozen=True, kw_only=True):
    """One request in fal's queue. `result`, `error_detail` and the values of `metadata` are JSON as received.

    `response_url`, `status_url` and `cancel_url` are fal's own, `cancel_asked_at` the time of a cancel request that fal
    has not refused; clients see none of them. A job at version 0 is not stored yet.

    While the files of its result are copied, a job is pending and has its `result` and `ended_by` already; clients see
    both once it is completed. `keep` is what the submit said about keeping them; None = nothing. `retry_of` is the
    requestId of the job whose input it has again.
    """

    request_id: str
    created_at: datetime
    updated_at: datetime
    status: JobStatus = JobStatus.PENDING
    version: int = 0
    endpoint_id: str | None = None
    response_url: str | None = None
    status_url: str | None = None
    cancel_url: str | None = None
    progress: Progress = Progress()
    result: Raw | None = None
    error: str | None = None
    error_detail: Raw | None = None
    ended_by: EndedBy | None = None
    media: tuple[MediaFile, ...] = ()
    keep: bool | None = None
    owner: str | None = None
    group: str | None = None
    metadata: Mapping[str, Raw] = {}
    retry_of: str | None = None
    completed_at: datetime | None = None
    cancel_asked_at: datetime | None = None

    @property
    def keeping(self) -> bool:
        """True while the files of its result are copied: fal is done, the job is pending."""
        return self.result is not None and not self.status.terminal


class Registered(Struct, frozen=True, kw_only=True):
    """The job was registered or submitted. Only fills missing fields; a terminal job accepts it, too."""

    endpoint_id: str | None = None
    response_url: str | None = None
    status_url: str | None = None
    cancel_url: str | None = None
    owner: str | None = None
    group: str | None = None
    metadata: Mapping[str, Raw] = {}
    keep: bool | None = None
    retry_of: str | None = None
    expected_seconds: float | None = None
    queue_position: int | None = None


class Progressed(Struct, frozen=True, kw_only=True):
    """fal reported a phase (queued, running, or saving = done, result still to be fetched).

    `logs` is a window of its log: the last lines so far.
    """

    phase: Phase
    queue_position: int | None = None
    logs: tuple[LogLine, ...] = ()


class Finished(Struct, frozen=True, kw_only=True):
    """fal's queue is done with the job, perhaps because it was cancelled; the outcome follows."""

    logs: tuple[LogLine, ...] = ()


class CancelAsked(Struct, frozen=True):
    """fal is about to be asked to cancel the job: its webhook may arrive before its answer, on any node."""


class CancelRefused(Struct, frozen=True):
    """fal did not accept our request to cancel."""


class CancelRequested(Struct, frozen=True):
    """fal accepted our request to cancel; the job may still complete."""


class Completed(Struct, frozen=True):
    """fal delivered the result. `media` are its files to keep: the job is completed once they are settled (`Kept`)."""

    result: Raw
    media: tuple[MediaFile, ...] = ()


class Copying(Struct, frozen=True):
    """The files of the result, as far as they are copied."""

    media: tuple[MediaFile, ...]


class Kept(Struct, frozen=True):
    """Every file of the result is settled. `result` no longer contains the kept `data:` URIs.

    `untidy`: earlier attempts may have left other files of the job in the storage.
    """

    result: Raw
    media: tuple[MediaFile, ...]
    untidy: bool = False


class Relinked(Struct, frozen=True):
    """The files of a job that was completed without them are settled: as `Kept`, but the job stays as it ended."""

    result: Raw
    media: tuple[MediaFile, ...]
    untidy: bool = False


class Failed(Struct, frozen=True):
    """The job ended without a result: `error` is one readable sentence, `detail` is fal's own error body."""

    error: str
    detail: Raw | None = None


class Cancelled(Struct, frozen=True):
    """fal removed the job."""


Update = (
    Registered
    | Progressed
    | Finished
    | CancelAsked
    | CancelRefused
    | CancelRequested
    | Completed
    | Copying
    | Kept
    | Relinked
    | Failed
    | Cancelled
)


def unseen(request_id: str, *, now: datetime) -> Job:
    """Return a job that is not known yet: version 0, never shown to clients."""
    return Job(request_id=request_id, created_at=now, updated_at=now)


Clock = Callable[[], datetime]
"""Returns the current time as an aware UTC datetime."""
