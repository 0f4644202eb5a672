"""The tables, and the mapping between a job and its row.

fal's JSON is stored as text, so that it is returned byte for byte.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Raw
from msgspec.json import Decoder
from msgspec.structs import fields, replace
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    RowMapping,
    Select,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)

from hookcast.jobs import EndedBy, Job, JobStatus, MediaFile, Phase, Progress
from hookcast.loglines import LogLine

T = TypeVar("T")


class UtcDateTime(TypeDecorator[datetime]):
    """Aware datetimes; SQLite stores them without a zone, always in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Convert to UTC in whole milliseconds, the precision clients see: a cursor must find its row again."""
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(microsecond=utc.microsecond // 1000 * 1000)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return an aware datetime."""
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


def _index(name: str, *columns: str, given: tuple[str, ...]) -> Index:
    """Return an index of the rows in which the columns `given` are not null."""
    where = text(" AND ".join(f"{column} IS NOT NULL" for column in given))
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


metadata = MetaData()

jobs = Table(
    "jobs",
    metadata,
    Column("request_id", String(200), primary_key=True),
    Column("status", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    Column("endpoint_id", Text),
    Column("response_url", Text),
    Column("status_url", Text),
    Column("cancel_url", Text),
    Column("phase", String(16), nullable=False),
    Column("queue_position", Integer),
    Column("logs", Text, nullable=False),
    Column("started_at", UtcDateTime),
    Column("expected_seconds", Float),
    Column("result", Text),
    Column("error", Text),
    Column("error_detail", Text),
    Column("ended_by", String(16)),
    Column("media", Text, nullable=False, server_default="[]"),
    Column("keep", Boolean),
    Column("owner", Text),
    Column("group_name", Text),
    Column("metadata", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("completed_at", UtcDateTime),
    Column("cancel_asked_at", UtcDateTime),
    Column("changed_at", Float, nullable=False),  # unix seconds by the database's own clock, at each write
    _index("jobs_by_owner", "owner", "status", "created_at", "request_id", given=("owner",)),
    _index("jobs_by_group", "group_name", "status", "created_at", "request_id", given=("group_name",)),
    _index(
        "jobs_by_owner_group",
        *("owner", "group_name", "status", "created_at", "request_id"),
        given=("owner", "group_name"),
    ),
    _index("jobs_by_group_change", "group_name", "updated_at", "request_id", given=("group_name",)),
    _index(
        "jobs_by_owner_group_change",
        *("owner", "group_name", "updated_at", "request_id"),
        given=("owner", "group_name"),
    ),
    _index("jobs_by_end", "completed_at", "request_id", given=("completed_at",)),
    Index("jobs_by_change", "changed_at", "request_id", "version", "group_name"),
    Index("jobs_by_status", "status", "created_at", "request_id"),
    Index("jobs_by_endpoint", "endpoint_id", "status", "completed_at"),
)

submits = Table(
    "submits",
    metadata,
    Column("id", Text, primary_key=True),
    Column("key", String(255), unique=True),  # the Idempotency-Key, if the caller sent one
    Column("caller", Text),
    Column("digest", String(64)),
    Column("request_id", String(200)),  # null until fal's answer or its webhook is stored
    Column("endpoint_id", Text),
    Column("owner", Text),
    Column("group_name", Text),
    Column("metadata", Text, nullable=False),
    Column("keep", Boolean),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("until", UtcDateTime, nullable=False),  # by then the node that asks fal has finished or is dead
    Index("submits_by_age", "asked_at"),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("until", Float, nullable=False),  # unix seconds by the database's own clock
)

work = Table(
    "work",
    metadata,
    Column("id", Text, primary_key=True),  # made of the kind and what the work is about: the same cause, the same row
    Column("kind", String(16), nullable=False),
    Column("request_id", String(200), nullable=False),
    Column("due_at", Float, nullable=False),  # unix seconds by the database's own clock, like `lease_until`
    Column("lease_until", Float),
    Column("holder", String(64)),  # the node that has claimed it
    Column("attempts", Integer, nullable=False),
    Column("facts", Text, nullable=False),
    Index("work_by_kind", "kind", "due_at"),
)

deployment = Table(
    "deployment",
    metadata,
    Column("only", Boolean, primary_key=True),  # one row, also with concurrent inserts
    Column("id", String(32), nullable=False),
)

fal_keys = Table(
    "fal_keys",
    metadata,
    Column("url", Text, primary_key=True),
    Column("document", LargeBinary, nullable=False),
    Column("fetched_at", UtcDateTime, nullable=False),
)


_STATUSES: Mapping[str, JobStatus] = {status.value: status for status in JobStatus}
_PHASES: Mapping[str, Phase] = {phase.value: phase for phase in Phase if phase is not Phase.ENDED}
_ENDS: Mapping[str | None, EndedBy] = {end.value: end for end in EndedBy}
_LOGS = Decoder(tuple[LogLine, ...])
_METADATA = Decoder(Mapping[str, Raw])
_MEDIA = Decoder(tuple[MediaFile, ...])


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
        "ended_by": job.ended_by,
        "media": msgspec.json.encode(job.media).decode(),
        "keep": job.keep,
        "owner": job.owner,
        "group_name": job.group,
        "metadata": labels_text(job.metadata),
        "created_at": job.created_at,
        "updated_at": job.updated_at,
        "completed_at": job.completed_at,
        "cancel_asked_at": job.cancel_asked_at,
    }


def from_row(row: RowMapping) -> Job:
    """Return the job stored in a row. An unknown value, of a newer version, is read as the nearest known one."""
    status = _status(row["status"], row["completed_at"])
    progress = Progress(
        phase=Phase.ENDED if status.terminal else _PHASES.get(row["phase"], Phase.RUNNING),
        queue_position=row["queue_position"],
        logs=_decode(row["logs"], _LOGS, ()),
        started_at=row["started_at"],
        expected_seconds=row["expected_seconds"],
    )
    return Job(
        request_id=row["request_id"],
        status=status,
        version=row["version"],
        endpoint_id=row["endpoint_id"],
        response_url=row["response_url"],
        status_url=row["status_url"],
        cancel_url=row["cancel_url"],
        progress=progress,
        result=_raw(row["result"]),
        error=row["error"],
        error_detail=_raw(row["error_detail"]),
        ended_by=_ENDS.get(row["ended_by"]),
        media=media_of(row["media"]),
        keep=row["keep"],
        owner=row["owner"],
        group=row["group_name"],
        metadata=labels_of(row["metadata"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        completed_at=row["completed_at"],
        cancel_asked_at=row["cancel_asked_at"],
    )


def media_of(text: str) -> tuple[MediaFile, ...]:
    """Return the files in the column `media`."""
    return () if text == "[]" else _decode(text, _MEDIA, ())


def jobs_of(selection: Select[Any]) -> Callable[[Connection], list[Job]]:
    """Return work that reads the selected rows of `jobs`."""
    return lambda connection: [from_row(row) for row in connection.execute(selection).mappings()]


def _status(text: str, completed_at: datetime | None) -> JobStatus:
    return _STATUSES.get(text) or (JobStatus.PENDING if completed_at is None else JobStatus.FAILED)


def _decode(text: str, decoder: Decoder[T], otherwise: T) -> T:
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


def _raw(text: str | None) -> Raw | None:
    return None if text is None else Raw(text.encode())
