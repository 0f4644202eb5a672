"""Selections of the jobs that a caller sees, newest or most recently changed first.

Each reads index entries of the jobs that it may return, and of no others: the entries of one owner, one group or one
status, in the order of the listing, up to the limit. So neither the cost nor the time of an answer depends on jobs that
the caller does not see.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from itertools import accumulate
from typing import Any, NamedTuple

from msgspec import Struct
from sqlalchemy import FromClause, Select, literal, select, tuple_, union

from hookcast.auth import EVERYBODY, Caller
from hookcast.jobs import JobStatus
from hookcast.store.base import Database
from hookcast.store.schema import jobs

PAGE_BYTES = 8 * 1024 * 1024
Cursor = tuple[datetime, str]


class Order(StrEnum):
    """What comes first in a listing: the newest jobs, or those that changed last."""

    CREATED = "created"
    UPDATED = "updated"


class JobQuery(Struct, frozen=True, kw_only=True):
    """Filters and page of a listing of the jobs that `seen_by` sees.

    `cursor` is (created_at, request_id) of the last job listed, or (updated_at, request_id) in that `order`, which goes
    with an owner or a group alone.
    """

    owner: str | None = None
    group: str | None = None
    status: JobStatus | None = None
    order: Order = Order.CREATED
    limit: int = 50
    cursor: Cursor | None = None
    seen_by: Caller = EVERYBODY


class Feed(NamedTuple):
    """At most `limit` of the jobs of an owner or of a group that `seen_by` sees, by their latest change."""

    limit: int
    owner: str | None = None
    group: str | None = None
    seen_by: Caller = EVERYBODY


class JobPage(Struct, frozen=True):
    """Jobs, their size in bytes, and the cursor of the next page (None at the end); `tag` changes with any of them."""

    request_ids: list[str]
    size: int
    tag: str
    next_cursor: Cursor | None


def page_of(rows: Sequence[tuple[datetime, str, int, int]], limit: int) -> JobPage:
    """Return the page of rows: time, requestId, version, size. At most `limit`, and PAGE_BYTES unless one is larger."""
    sizes = list(accumulate(size for *_, size in rows))
    count = min(limit, max(1, bisect_right(sizes, PAGE_BYTES)), len(rows))
    names = [request_id for _, request_id, *_ in rows[:count]]
    cursor = (rows[count - 1][0], names[-1]) if len(rows) > count else None
    seen = repr([*((request_id, version) for _, request_id, version, _ in rows[:count]), cursor is None])
    tag = blake2b(seen.encode(), digest_size=12).hexdigest()
    return JobPage(names, sizes[count - 1] if count else 0, tag, cursor)


class Branch(Struct, frozen=True):
    """One reason why a caller sees jobs: they have this owner, this group, one of these groups, one of these names."""

    owner: str | None = None
    group: str | None = None
    groups: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()


def branches(seen_by: Caller, owner: str | None = None, group: str | None = None) -> Iterator[Branch]:
    """Yield why the caller sees jobs of this owner and group; nothing if it sees none, whichever there are."""
    if seen_by.full or group in seen_by.groups:
        yield Branch(owner, group)
        return
    if group is None and seen_by.groups:
        yield Branch(owner, groups=seen_by.groups)
    if seen_by.sub is not None and owner in {None, seen_by.sub}:
        yield Branch(seen_by.sub, group)
    if seen_by.jobs:
        yield Branch(owner, group, names=seen_by.jobs)


def listed(database: Database, query: JobQuery) -> Select[Any] | None:
    """Return the selection of a page, and of one job more if there is another page; None when nothing is visible."""
    if query.order is Order.UPDATED:
        feed = Feed(query.limit + 1, query.owner, query.group, query.seen_by)
        return latest(database, feed, after=query.cursor)
    statuses = list(JobStatus) if query.status is None else [query.status]
    parts = [
        _part(database, branch, _NEWEST, query.limit + 1, status=status, after=query.cursor)
        for branch in branches(query.seen_by, query.owner, query.group)
        for status in ([query.status] if branch.names else statuses)
    ]
    return _first(parts, query.limit + 1)


def latest(database: Database, feed: Feed, *, after: Cursor | None = None) -> Select[Any] | None:
    """Return the selection of the feed's most recently changed jobs; None when nothing is visible."""
    found = branches(feed.seen_by, feed.owner, feed.group)
    return _first([_part(database, branch, _LATEST, feed.limit, after=after) for branch in found], feed.limit)


_NEWEST = ("created_at", "request_id")
_LATEST = ("updated_at", "request_id")


def _part(
    database: Database,
    branch: Branch,
    order: tuple[str, str],
    limit: int,
    *,
    status: JobStatus | None = None,
    after: Cursor | None = None,
) -> Select[Any]:
    """Return the selection of a branch's first keys: one read of an index, or one for each group."""
    rows = _named(branch.names) if branch.names else jobs
    columns = [rows.c[name] for name in order]
    keys = select(*columns).where(database.is_time(columns[0]))
    keys = keys.order_by(*(column.desc() for column in columns)).limit(limit)
    if branch.owner is not None:
        keys = keys.where(rows.c.owner == branch.owner)
    if branch.group is not None:
        keys = keys.where(rows.c.group_name == branch.group)
    if status is not None:
        keys = keys.where(rows.c.status == status.value)
    if after is not None:
        created_at, request_id = after
        keys = keys.where(tuple_(*columns) < tuple_(literal(created_at, columns[0].type), literal(request_id)))
    return database.of_each(jobs.c.group_name, branch.groups, keys) if branch.groups else keys


def _named(names: frozenset[str]) -> FromClause:
    """Return the jobs with these names. The limit keeps a planner from finding them by other conditions."""
    columns = (jobs.c[name] for name in ("request_id", "status", "owner", "group_name", "created_at", "updated_at"))
    return select(*columns).where(jobs.c.request_id.in_(sorted(names))).limit(len(names)).subquery()


def _first(parts: Sequence[Select[Any]], limit: int) -> Select[Any] | None:
    """Return the selection of the jobs with the first of these keys."""
    if not parts:
        return None
    keys = union(*(select(part.subquery()) for part in parts)).subquery()
    first = select(keys.c.request_id).order_by(*(column.desc() for column in keys.c)).limit(limit)
    order = (jobs.c[column.name].desc() for column in keys.c)
    return select(jobs).where(jobs.c.request_id.in_(first)).order_by(*order)
