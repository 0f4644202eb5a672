"""A job as its clients see it: JSON, SSE frames and bus messages; pure.

SSE: WHATWG HTML, section 9.2 "Server-sent events". Times: RFC 3339, UTC, milliseconds.
"""

from datetime import UTC, datetime

from msgspec import Raw, Struct, json

from hookcast.jobs import Job, LogLine

END_ID = "end"
END_FRAME = b"event: end\nid: end\ndata: {}\n\n"
PING_FRAME = b": ping\n\n"


class State(Struct, frozen=True):
    """One version of a job, encoded once and shared by everybody who watches it. `body` is the JSON."""

    request_id: str
    version: int
    terminal: bool
    body: bytes


class _LogLine(Struct):
    timestamp: str | None
    message: str
    level: str | None


class _Progress(Struct, rename="camel"):
    phase: str
    queue_position: int | None
    logs: list[_LogLine]
    started_at: str | None
    expected_seconds: float | None


class _Job(Struct, rename="camel"):
    """The keys of the job's JSON, in the order of the protocol page."""

    request_id: str
    status: str
    version: int
    endpoint_id: str | None
    progress: _Progress
    result: Raw | None
    error: str | None
    error_detail: Raw | None
    owner: str | None
    group: str | None
    metadata: dict[str, Raw]
    created_at: str
    updated_at: str
    completed_at: str | None


def encode(job: Job) -> State:
    """The whole state as one JSON object; fal's own JSON inside it stays byte for byte."""
    body = json.encode(
        _Job(
            request_id=job.request_id,
            status=job.status,
            version=job.version,
            endpoint_id=job.endpoint_id,
            progress=_progress(job),
            result=job.result,
            error=job.error,
            error_detail=job.error_detail,
            owner=job.owner,
            group=job.group,
            metadata=dict(job.metadata),
            created_at=rfc3339(job.created_at),
            updated_at=rfc3339(job.updated_at),
            completed_at=_optional(job.completed_at),
        )
    )
    return State(request_id=job.request_id, version=job.version, terminal=job.status.terminal, body=body)


def sse_job(state: State) -> bytes:
    """The `job` event. Line breaks between fal's JSON tokens would end the `data` field, so they become spaces."""
    data = state.body.replace(b"\r", b" ").replace(b"\n", b" ")
    return b"id: %d\nevent: job\ndata: %b\n\n" % (state.version, data)


def sse_retry(milliseconds: int) -> bytes:
    """Tell the client how long to wait before it reconnects."""
    return b"retry: %d\n\n" % milliseconds


def rfc3339(moment: datetime) -> str:
    """`2026-11-23T10:00:00.123Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _optional(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)


def _progress(job: Job) -> _Progress:
    progress = job.progress
    return _Progress(
        phase=progress.phase,
        queue_position=progress.queue_position,
        logs=[_log_line(line) for line in progress.logs],
        started_at=_optional(progress.started_at),
        expected_seconds=progress.expected_seconds,
    )


def _log_line(line: LogLine) -> _LogLine:
    return _LogLine(timestamp=line.timestamp, message=line.message, level=line.level)
