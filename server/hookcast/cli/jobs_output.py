"""What `hookcast jobs` prints: tables for people on a terminal, lines of JSON elsewhere."""

import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hookcast.cli.remote import said
from hookcast.cli.terminal import duration, outcome, plain, seconds_between, title
from hookcast.client import ClientError, Entry, Finding, Hookcast, Job, Journal

MAX_PAGE = 200
_STYLES = {"pending": "cyan", "completed": "green", "failed": "red", "cancelled": "yellow"}
_WRONG = frozenset(
    {
        "backend_failed",
        "backend_gone",
        "cancelled",
        "fal_failed",
        "fell_back",
        "file_not_kept",
        "timed_out",
        "webhook_lost",
    }
)


class Query(Struct, frozen=True, kw_only=True):
    """Which jobs to list, and how many at most."""

    owner: str | None
    group: str | None
    status: str | None
    limit: int


async def print_list(client: Hookcast, query: Query) -> int:
    """Print the newest jobs."""
    if not sys.stdout.isatty():
        async for job in _listed(client, query):
            _print(job.line)
        return 0
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("requestId", overflow="fold", min_width=36)
    table.add_column("status", no_wrap=True)
    table.add_column("model", overflow="fold", ratio=1)
    table.add_column("owner", no_wrap=True, overflow="ellipsis", max_width=16)
    table.add_column("age", no_wrap=True, justify="right")
    table.add_column("took", no_wrap=True, justify="right")
    now = datetime.now(UTC)
    async for job in _listed(client, query):
        table.add_row(*_row(job, now))
    Console(highlight=False).print(table if table.row_count else "No jobs.")
    return 0


async def print_one(client: Hookcast, request_id: str) -> int:
    """Print a job, its journal and what that says."""
    journal = await client.journal(request_id)
    job = journal.job
    if not sys.stdout.isatty():
        _print(journal.body.decode().replace("\r", " ").replace("\n", " "))
        return 0
    console = Console(highlight=False)
    console.print(title(job, request_id), soft_wrap=True)
    console.print(outcome(job) if job.ended else Text(f"{job.status}, {job.progress.phase}", style="cyan"))
    console.print()
    console.print(journal_table(journal))
    console.print()
    for finding in journal.findings:
        console.print(_finding(finding), soft_wrap=True)
    return 0


async def print_each(request_ids: Sequence[str], act: Callable[[str], Awaitable[Job | None]], done: str) -> int:
    """Do something with each job, and print the result. Return 1 if one of them failed."""
    failed = 0
    for request_id in request_ids:
        try:
            job = await act(request_id)
        except ClientError as error:
            if len(request_ids) == 1:
                raise
            failed = 1
            sys.stderr.write(f"hookcast: {plain(request_id)}: {said(error)}\n")
            continue
        if sys.stdout.isatty():
            new = "" if job is None or job.request_id == request_id else f" {plain(job.request_id)}"
            status = "" if job is None else f": {job.status}"
            _print(f"{plain(request_id)}  {done}{new}{status}")
        else:
            _print(json.dumps({"requestId": request_id, "removed": True}) if job is None else job.line)
    return failed


async def print_redelivery(client: Hookcast, since: datetime) -> int:
    """Have the backend told again, and print of how many jobs."""
    count = await client.redeliver_since(since)
    if sys.stdout.isatty():
        _print(f"Telling your backend of {count} job{'' if count == 1 else 's'} again.")
    else:
        _print(json.dumps({"redelivering": count}))
    return 0


def journal_table(journal: Journal) -> Table:
    """Return the lines as a table: when, how long after the line before, what, the facts, and the node of several."""
    nodes = {entry.node for entry in journal.entries if entry.node}
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("time (UTC)", no_wrap=True, justify="right")
    table.add_column("after", no_wrap=True, justify="right", style="dim")
    table.add_column("event", no_wrap=True)
    table.add_column("facts", overflow="fold", ratio=1)
    if len(nodes) > 1:
        table.add_column("node", overflow="fold", style="dim")
    before: Entry | None = None
    for entry in journal.entries:
        row = [_clock(entry.at, before), "" if before is None else f"+{_after(before, entry)}", plain(entry.event)]
        facts = "  ".join(f"{plain(name)}={plain(_words(value))}" for name, value in entry.facts.items())
        table.add_row(*row, facts, *([plain(entry.node)] if len(nodes) > 1 else []))
        before = entry
    return table


def _clock(at: datetime, before: Entry | None) -> str:
    """Return the time of day, after the date where that is new."""
    utc = at.astimezone(UTC)
    fresh = before is None or before.at.astimezone(UTC).date() != utc.date()
    return f"{utc:%Y-%m-%d} " * fresh + f"{utc:%H:%M:%S}.{utc.microsecond // 1000:03}"


def _after(before: Entry, entry: Entry) -> str:
    seconds = seconds_between(before.at, entry.at)
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else duration(seconds)


async def _listed(client: Hookcast, query: Query) -> AsyncIterator[Job]:
    cursor, left = None, query.limit
    while left > 0:
        page = await client.list(
            owner=query.owner, group=query.group, status=query.status, limit=min(left, MAX_PAGE), cursor=cursor
        )
        for job in page.jobs:
            yield job
        left, cursor = left - len(page.jobs), page.next_cursor
        if cursor is None:
            return


def _row(job: Job, now: datetime) -> tuple[Text | str, ...]:
    phase = "" if job.ended else f" ({job.progress.phase})"
    return (
        plain(job.request_id),
        Text(f"{job.status}{phase}", style=_STYLES.get(job.status, "")),
        plain(job.endpoint_id or ""),
        plain(job.owner or ""),
        duration(seconds_between(job.created_at, now)),
        duration(seconds_between(job.created_at, job.completed_at)) if job.completed_at else "",
    )


def _finding(finding: Finding) -> Text:
    wrong = finding.code in _WRONG or finding.code.startswith(("webhook_", "watch_"))
    return Text.assemble(("! " if wrong else "· ", "yellow" if wrong else "dim"), plain(finding.message))


def _words(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _print(line: str) -> None:
    sys.stdout.buffer.write(line.encode() + b"\n")  # JSON is UTF-8, whatever the locale
    sys.stdout.flush()
