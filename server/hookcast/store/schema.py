"""The tables. Times that several nodes compare are by the database's own clock."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)


class UtcDateTime(TypeDecorator[datetime]):
    """Aware datetimes; SQLite stores them without a zone, always in UTC, and as text: one that is no time is None."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Convert to UTC in whole milliseconds, the precision clients see: a cursor must find its row again."""
        return None if value is None else _in_milliseconds(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None] | None:
        """Return what reads a value: an unreadable one must not hide the other rows."""
        parse = super().result_processor(dialect, coltype)
        if parse is None or dialect.name != "sqlite":
            return parse

        def read(value: Any) -> datetime | None:
            try:
                return parse(value)
            except (TypeError, ValueError):
                return None

        return read

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return an aware datetime."""
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


def stored_text(value: datetime | None) -> str | None:
    """Return a time as SQLite's columns have it."""
    return None if value is None else _in_milliseconds(value).isoformat(" ", "microseconds")[:26]  # without the zone


def _in_milliseconds(value: datetime) -> datetime:
    utc = value if value.tzinfo is UTC else value.astimezone(UTC)
    beyond = utc.microsecond % 1000
    return utc.replace(microsecond=utc.microsecond - beyond) if beyond else utc


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
    Column("retry_of", String(200)),
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
    _index("jobs_by_owner_change", "owner", "updated_at", "request_id", given=("owner",)),
    _index(
        "jobs_by_owner_group_change",
        *("owner", "group_name", "updated_at", "request_id"),
        given=("owner", "group_name"),
    ),
    _index("jobs_by_retry", "retry_of", "created_at", "request_id", given=("retry_of",)),
    _index("jobs_by_end", "completed_at", "request_id", given=("completed_at",)),
    Index("jobs_by_change", "changed_at", "request_id", "version", "owner", "group_name"),
    Index("jobs_by_status", "status", "created_at", "request_id"),
    Index("jobs_by_endpoint", "endpoint_id", "status", "completed_at"),
)

removed_jobs = Table(  # by request, a short while ago
    "removed_jobs",
    metadata,
    Column("request_id", String(200), primary_key=True),
    Column("removed_at", Float, nullable=False),  # unix seconds by the database's own clock
    Index("removed_by_age", "removed_at"),
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
    Column("retry_of", String(200)),
    Column("input_kept", Boolean),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("until", UtcDateTime, nullable=False),  # by then the node that asks fal has finished or is dead
    Index("submits_by_age", "asked_at"),
)

inputs = Table(
    "inputs",
    metadata,
    Column("id", Text, primary_key=True),  # of the submit
    Column("request_id", String(200)),  # null until the submit has a job
    Column("input", Text, nullable=False),
    Column("headers", Text, nullable=False),  # behind the large column: see `removal.remove`
    Index("inputs_by_job", "request_id"),
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
    Index("work_by_job", "request_id"),
)

_NUMBER = BigInteger().with_variant(Integer, "sqlite")

journal = Table(
    "journal",
    metadata,
    Column("id", _NUMBER, Identity(), primary_key=True),
    Column("request_id", String(200), nullable=False),
    Column("event", String(24), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("node", String(64), nullable=False),
    Column("facts", Text, nullable=False),
    Index("journal_by_job", "request_id", "event"),
)

refused_webhooks = Table(
    "refused_webhooks",
    metadata,
    Column("id", String(32), primary_key=True),  # of the hour and what is equal within it, the same on every node
    Column("code", String(32), nullable=False),
    Column("reason", Text, nullable=False),
    Column("request_id", String(200)),
    Column("client", String(64)),
    Column("headers", Text, nullable=False),
    Column("first_at", UtcDateTime, nullable=False),
    Column("last_at", UtcDateTime, nullable=False),
    Column("count", Integer, nullable=False),
    Column("node", String(64), nullable=False),
    Index("refused_by_age", "last_at", "id"),
    Index("refused_by_job", "request_id"),
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
