"""What the operator of a server reads: pages of jobs, and the journal of one."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from hookcast.client.model import Job, decode_job


class Page(Struct, frozen=True, kw_only=True):
    """Jobs, newest first. `next_cursor` continues the list; None at its end."""

    jobs: tuple[Job, ...]
    next_cursor: str | None


class Entry(Struct, frozen=True, kw_only=True):
    """One line of a journal: what happened, when, and on which node. `facts` depend on the event: docs/journal.md."""

    at: datetime
    event: str
    node: str = ""
    facts: dict[str, Any] = {}


class Finding(Struct, frozen=True, kw_only=True):
    """A sentence that explains the job; `code` is stable."""

    code: str
    message: str


class Journal(Struct, frozen=True, kw_only=True):
    """A job, what happened to it in order, and what that says. `body` is the JSON as received."""

    request_id: str
    job: Job
    entries: tuple[Entry, ...] = ()
    findings: tuple[Finding, ...] = ()
    body: bytes = b""


class _Journal(Struct, rename="camel"):
    request_id: str
    job: Raw
    entries: tuple[Entry, ...] = ()
    findings: tuple[Finding, ...] = ()


class _Page(Struct, rename="camel"):
    jobs: list[Raw]
    next_cursor: str | None


def decode_nothing(body: bytes) -> None:
    """Check an answer without content. Raises ValueError for any other: it is not Hookcast's."""
    if body:
        raise ValueError("there is content")


def decode_page(body: bytes) -> Page:
    """Decode a list of jobs. Raises ValueError when invalid."""
    page = msgspec.json.decode(body, type=_Page)
    return Page(jobs=tuple(decode_job(bytes(raw)) for raw in page.jobs), next_cursor=page.next_cursor)


def decode_journal(body: bytes) -> Journal:
    """Decode a journal. Raises ValueError when invalid."""
    found = msgspec.json.decode(body, type=_Journal)
    job = decode_job(bytes(found.job))
    return Journal(request_id=found.request_id, job=job, entries=found.entries, findings=found.findings, body=body)


class _Redelivering(Struct):
    redelivering: int


def decode_redelivering(body: bytes) -> int:
    """Decode how many jobs the backend is told of again. Raises ValueError when invalid."""
    return msgspec.json.decode(body, type=_Redelivering).redelivering


class _Alive(Struct):
    now: Annotated[datetime, Meta(tz=True)]


def decode_time(body: bytes) -> datetime:
    """Decode the server's time. Raises ValueError when invalid."""
    return msgspec.json.decode(body, type=_Alive).now
