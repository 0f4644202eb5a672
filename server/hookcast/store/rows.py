"""The mapping between a job and its row. fal's JSON is stored as text, so that it is returned byte for byte."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Raw
from msgspec.json import Decoder
from msgspec.structs import fields, replace
from sqlalchemy import Connection, Select

from hookcast.jobs import EndedBy, Job, JobStatus, MediaFile, Phase, Progress
from hookcast.loglines import LogLine
from hookcast.logs import get_logger

T = TypeVar("T")

_STATUSES: Mapping[str, JobStatus] = {status.value: status for status in JobStatus}
_PHASES: Mapping[str, Phase] = {phase.value: phase for phase in Phase if phase is not Phase.ENDED}
_ENDS: Mapping[str | None, EndedBy] = {end.value: end for end in EndedBy}
_LOGS = Decoder(tuple[LogLine, ...])
_METADATA = Decoder(Mapping[str, Raw])
_MEDIA = Decoder(tuple[MediaFile, ...])
_ANY, _NOTHING = Decoder(Raw), Raw()
_PAIRS = (b"{}", b"[]", b'""')
_SHORT = 400  # bytes; also longer than any number
_UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)
MAX_VERSION = 2**31 - 2  # PostgreSQL has room for the next one
_MOST_TOLD = 1000
_told: set[str] = set()  # the jobs whose broken rows are in the log
_log = get_logger(__name__)


# PostgreSQL stores no NUL, and no database half a surrogate pair. In fal's JSON both are escapes, which are plain text.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_TEXTS = [field.name for field in fields(Job) if field.type in {str, str | None}]


def storable(job: Job) -> Job:
    """Return the job as every database can store it: characters that one of them cannot store become U+FFFD."""
    texts = ((name, getattr(job, name)) for name in _TEXTS)
    mended = {name: _UNSTORABLE.sub("\ufffd", text) for name, text in texts if text and _UNSTORABLE.search(text)}
    return replace(job, **mended) if mended else job


def to_row(job: Job) -> dict[str, Any]:
    """Return the job as column values of the `jobs` table."""
    progress = job.progress
    return {
        "request_id": job.request_id,
        "status": job.status.value,
        "version": job.version,
        "endpoint_id": job.endpoint_id,
        "response_url": job.response_url,
        "status_url": job.status_url,
        "cancel_url": job.cancel_url,
        "phase": progress.phase.value,
        "queue_position": progress.queue_position,
        "logs": msgspec.json.encode(progress.logs).decode(),
        "started_at": progress.started_at,
        "expected_seconds": progress.expected_seconds,
        "result": _text(job.result),
        "error": job.error,
        "error_detail": _text(job.error_detail),
        "ended_by": None if job.ended_by is None else job.ended_by.value,
        "media": msgspec.json.encode(job.media).decode(),
        "keep": job.keep,
        "owner": job.owner,
        "group_name": job.group,
        "metadata": labels_text(job.metadata),
        "retry_of": job.retry_of,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
        "completed_at": job.completed_at,
        "cancel_asked_at": job.cancel_asked_at,
    }


def from_row(row: Mapping[Any, Any]) -> Job:
    """Return the job stored in a row: never an error, which would hide the other rows of a query.

    An unknown value, of a newer version, is read as the nearest known one, and one that is broken as if it were absent.
    SQLite stores values of any type in any column.
    """
    if bytes in set(map(type, row.values())):
        row = {
            name: value.decode(errors="replace") if isinstance(value, bytes) else value for name, value in row.items()
        }
    status = status_of(row["status"], row["completed_at"])
    created_at = row["created_at"] or row["updated_at"] or _UNKNOWN
    return Job(
        request_id=row["request_id"],
        status=status,
        version=version_of(row["request_id"], row["version"]),
        endpoint_id=row["endpoint_id"],
        response_url=row["response_url"],
        status_url=row["status_url"],
        cancel_url=row["cancel_url"],
        progress=_progress(row, status),
        result=_raw(row["result"]),
        error=row["error"],
        error_detail=_raw(row["error_detail"]),
        ended_by=_ENDS.get(row["ended_by"]),
        media=media_of(row["media"]),
        keep=row["keep"],
        owner=row["owner"],
        group=row["group_name"],
        metadata=labels_of(row["metadata"]),
        retry_of=row["retry_of"],
        created_at=created_at,
        updated_at=row["updated_at"] or created_at,
        completed_at=row["completed_at"],
        cancel_asked_at=row["cancel_asked_at"],
    )


def version_of(request_id: str, stored: object) -> int:
    """Return the version in a row; 0, and a line in the log, if it is none: then the next write begins at 1 again."""
    version = _number(stored)
    if version is not None and 0 < version <= MAX_VERSION:
        return version
    if request_id not in _told and len(_told) < _MOST_TOLD:
        _told.add(request_id)
        _log.error("row_broken", request_id=request_id, column="version")
    return 0


def _number(stored: object) -> int | None:
    return stored if type(stored) is int else None


def _progress(row: Mapping[Any, Any], status: JobStatus) -> Progress:
    return Progress(
        phase=Phase.ENDED if status.terminal else _PHASES.get(row["phase"], Phase.RUNNING),
        queue_position=_number(row["queue_position"]),
        logs=_decode(row["logs"], _LOGS, ()),
        started_at=row["started_at"],
        expected_seconds=None if isinstance(row["expected_seconds"], str) else row["expected_seconds"],
    )


def media_of(text: str) -> tuple[MediaFile, ...]:
    """Return the files in the column `media`."""
    return () if text == "[]" else _decode(text, _MEDIA, ())


def jobs_of(selection: Select[Any]) -> Callable[[Connection], list[Job]]:
    """Return work that reads the selected rows of `jobs`."""
    return lambda connection: [from_row(row) for row in connection.execute(selection).mappings()]


def status_of(text: str, completed_at: datetime | None) -> JobStatus:
    """Return the status in a row; of one that this version does not know, whether the job has ended."""
    return _STATUSES.get(text) or (JobStatus.PENDING if completed_at is None else JobStatus.FAILED)


def _decode(text: str | bytes, decoder: Decoder[T], otherwise: T) -> T:
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return otherwise


def labels_text(labels: Mapping[str, Raw]) -> str:
    """Return metadata as it is stored."""
    return msgspec.json.encode(labels).decode()


def labels_of(text: str) -> Mapping[str, Raw]:
    """Return stored metadata."""
    return _decode(text, _METADATA, {})


def _text(raw: Raw | None) -> str | None:
    return None if raw is None else bytes(raw).decode()


def _raw(text: str | bytes | None) -> Raw | None:
    """Return stored JSON, or None if it is broken. Of a long text only the ends are looked at, which costs nothing."""
    if text is None:
        return None
    encoded = text.encode() if isinstance(text, str) else text
    seems_whole = len(encoded) > _SHORT and encoded[:1] + encoded[-1:] in _PAIRS
    whole = seems_whole or bytes(_decode(encoded, _ANY, _NOTHING))
    return Raw(encoded) if whole else None
