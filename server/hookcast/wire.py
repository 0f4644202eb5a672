"""The wire format of a job: JSON, SSE events, WebSocket frames, and the states that the bus carries; pure.

SSE: WHATWG HTML, section 9.2 "Server-sent events". WebSocket: RFC 6455. Times: RFC 3339, UTC, milliseconds.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from msgspec import Raw, Struct, json

from hookcast.jobs import Job, MediaFile
from hookcast.links import Link, linked
from hookcast.loglines import LogLine

LARGE_BYTES = 16 * 1024  # larger states are read and sent in turns
END_ID = "end"
SSE_END = b"event: end\nid: end\ndata: {}\n\n"
SSE_PING = b": ping\n"  # one line break: many clients report a block without data as an empty event
SSE_WAITING = b": waiting\n" + SSE_PING
SSE_TOKEN_EXPIRING = b"event: token-expiring\ndata: {}\n\n"


class State:
    """One version of a job, encoded once and shared by all its subscribers. `body` is the JSON.

    Immutable once created, and `small` up to LARGE_BYTES. `sse` (the `job` event) and `websocket` (the `job` message as
    one text frame) are built on first use. They are plain attributes from then on, since every stream reads them.
    """

    __slots__ = ("body", "group", "owner", "request_id", "small", "sse", "terminal", "version", "websocket")
    sse: bytes
    websocket: bytes

    def __init__(
        self,
        *,
        request_id: str,
        version: int,
        terminal: bool,
        body: bytes,
        group: str | None = None,
        owner: str | None = None,
    ) -> None:
        self.request_id = request_id
        self.version = version
        self.terminal = terminal
        self.body = body
        self.small = len(body) <= LARGE_BYTES
        self.group = group
        self.owner = owner

    def __getattr__(self, name: str) -> bytes:
        """Build what is not there yet."""
        if name == "sse":
            # Line breaks between fal's JSON tokens would end the `data` field, so they become spaces.
            data = self.body.replace(b"\r", b" ").replace(b"\n", b" ")
            self.sse = b"id: %d\nevent: job\ndata: %b\n\n" % (self.version, data)
            return self.sse
        if name == "websocket":
            self.websocket = websocket_text(b'{"type":"job","job":%b}' % self.body)
            return self.websocket
        raise AttributeError(name)


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


class _Media(Struct, rename="camel"):
    source: str
    url: str | None
    content_type: str | None
    bytes: int
    size: int | None
    sha256: str | None
    status: str
    error: str | None


class JobJson(Struct, rename="camel"):
    """The members of the job's JSON, in the order of the protocol page."""

    request_id: str
    status: str
    version: int
    endpoint_id: str | None
    progress: _Progress
    result: Raw | None
    error: str | None
    error_detail: Raw | None
    ended_by: str | None
    media: list[_Media]
    owner: str | None
    group: str | None
    metadata: dict[str, Raw]
    retry_of: str | None
    created_at: str
    updated_at: str
    completed_at: str | None


Show = Callable[[Job], State]
"""Returns the state of a job as clients see it: `encode`, with the links of the server's storage."""


def encode(job: Job, link: Link | None = None) -> State:
    """Encode the job as one JSON object; fal's own JSON inside it stays byte for byte, but for `link`s to kept files.

    A result is shown once the job is completed; `link` is None where no files are kept.
    """
    ended = job.status.terminal
    body = json.encode(
        JobJson(
            request_id=job.request_id,
            status=job.status,
            version=job.version,
            endpoint_id=job.endpoint_id,
            progress=_progress(job),
            result=linked(job.result, job.media, link) if ended else None,
            error=job.error,
            error_detail=job.error_detail,
            ended_by=job.ended_by if ended else None,
            media=[_media(file, link) for file in job.media],
            owner=job.owner,
            group=job.group,
            metadata=dict(job.metadata),
            retry_of=job.retry_of,
            created_at=rfc3339(job.created_at),
            updated_at=rfc3339(job.updated_at),
            completed_at=_optional(job.completed_at),
        )
    )
    return State(
        request_id=job.request_id,
        version=job.version,
        terminal=ended,
        body=body,
        group=job.group,
        owner=job.owner,
    )


def sse_retry(milliseconds: int) -> bytes:
    """Return a `retry` field: the client's delay before it reconnects. It takes effect when its line ends."""
    return b"retry: %d\n" % milliseconds


def websocket_text(payload: bytes) -> bytes:
    """Return one unmasked text frame, as a server sends it (RFC 6455 section 5.2)."""
    return websocket_frame(0x81, payload)


def websocket_close(code: int, reason: str) -> bytes:
    """Return a close frame (RFC 6455 section 5.5.1); `reason` has at most 123 bytes."""
    return websocket_frame(0x88, code.to_bytes(2) + reason.encode())


def websocket_frame(first: int, payload: bytes) -> bytes:
    """Return a complete unmasked frame: `first` is FIN and opcode, the length has its shortest encoding."""
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 1 << 16:
        return bytes((first, 126)) + size.to_bytes(2) + payload
    return bytes((first, 127)) + size.to_bytes(8) + payload


def split_frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield opcode and payload of each of our own (unmasked) frames in `data`."""
    position = 0
    while position < len(data):
        size, start = data[position + 1], position + 2
        if size >= 126:
            extra = 2 if size == 126 else 8
            size, start = int.from_bytes(data[start : start + extra]), start + extra
        yield data[position] & 0x0F, data[start : start + size]
        position = start + size


def rfc3339(moment: datetime) -> str:
    """Return the time as `2026-11-23T10:00:00.123Z`."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")


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


def _media(file: MediaFile, link: Link | None) -> _Media:
    return _Media(
        source=file.source,
        url=None if file.key is None or link is None else link(file.key),
        content_type=file.content_type,
        bytes=file.bytes,
        size=file.size,
        sha256=file.sha256,
        status=file.status,
        error=file.error,
    )


def _log_line(line: LogLine) -> _LogLine:
    return _LogLine(timestamp=line.timestamp, message=line.message, level=line.level)
