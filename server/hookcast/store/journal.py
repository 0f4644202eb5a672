"""The journal of jobs, and the refused webhooks, in the database."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import asdict
from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    Integer,
    RowMapping,
    Select,
    Text,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

from hookcast.journal import Event, Line, Refusal
from hookcast.store.base import Database
from hookcast.store.schema import jobs, journal, refused_webhooks

KEPT_REFUSALS = 1000
_COLUMNS = ("request_id", "event", "at", "node", "facts")
_GIVEN = (*_COLUMNS, "room")  # of each line


class Entry(NamedTuple):
    """A written line. `facts` is JSON."""

    at: datetime
    event: str
    node: str
    facts: msgspec.Raw


class Journal:
    """The journal in the database. `node` names this node in it; methods raise StoreUnavailable."""

    def __init__(self, database: Database, node: str) -> None:
        self._database = database
        self.node = node
        self._few_of_changes = _insert(database)
        self._few_notes = _insert(database, _is_known)
        self._of_changes = _insert(database, _has_room)
        self._of_notes = _insert(database, _has_room, _is_known)

    async def of_job(self, request_id: str) -> list[Entry]:
        """Return the lines of a job, in the order of their times."""
        columns = (journal.c.at, journal.c.event, journal.c.node, journal.c.facts)
        found = select(*columns).where(journal.c.request_id == request_id).order_by(journal.c.at, journal.c.id)
        rows = await self._database.read(lambda connection: connection.execute(found).all())
        entries = (Entry(at, event, node, msgspec.Raw(facts.encode())) for at, event, node, facts in rows)
        return [line for entry in entries for line in _unfolded(entry)]

    async def add(self, lines: Sequence[Line]) -> None:
        """Write lines that no change has caused. Those of unknown jobs are left out."""

        def write(connection: Connection) -> None:
            self._write(connection, lines, few=self._few_notes, repeated=self._of_notes)

        await self._database.write(write)

    def write(self, connection: Connection, lines: Sequence[Line]) -> None:
        """Write the lines of changes, in their transaction; no statement when there are none."""
        others = [line for line in lines if line.of_another_job]
        own = [line for line in lines if not line.of_another_job] if others else lines
        self._write(connection, own, few=self._few_of_changes, repeated=self._of_changes)
        if others:
            self._execute(connection, self._of_notes, others)

    async def add_refusals(self, refusals: Sequence[Refusal]) -> None:
        """Write refused webhooks, added to equal ones of the same hour; keep the newest `KEPT_REFUSALS`."""
        rows = [self._row_of(refusal) for refusal in sorted(refusals, key=lambda refusal: refusal.id)]

        def write(connection: Connection) -> None:
            connection.execute(_counted(self._database), rows)
            connection.execute(delete(refused_webhooks).where(refused_webhooks.c.id.in_(_oldest())))

        await self._database.write(write)

    async def refused(self, *, request_id: str | None = None, limit: int = KEPT_REFUSALS) -> list[Refusal]:
        """Return the refused webhooks, the last one first; only those that claimed this job if it is given."""
        found = select(refused_webhooks).order_by(refused_webhooks.c.last_at.desc(), refused_webhooks.c.id).limit(limit)
        if request_id is not None:
            found = found.where(refused_webhooks.c.request_id == request_id)
        rows = await self._database.read(lambda connection: connection.execute(found).mappings().all())
        return [_refusal(row) for row in rows]

    def _write(self, connection: Connection, lines: Sequence[Line], *, few: Executable, repeated: Executable) -> None:
        """Write lines. All of a job are counted if one of them repeats: they keep their order."""
        counted = {line.request_id for line in lines if line.repeats}
        for statement, some in (
            (few, [line for line in lines if line.request_id not in counted]),
            (repeated, [line for line in lines if line.request_id in counted]),
        ):
            if some:
                self._execute(connection, statement, some)

    def _execute(self, connection: Connection, statement: Executable, lines: Sequence[Line]) -> None:
        encode = msgspec.json.encode
        rows = [
            (line.request_id, line.event.value, line.at, self.node, encode(line.facts).decode(), line.room)
            for line in lines
        ]
        if self._database.one_writer:
            stored = [(name, event, _stored(at), *rest) for name, event, at, *rest in rows]
            connection.execute(statement, {"lines": encode(stored).decode()})
        else:
            given = zip(_GIVEN, zip(*rows, strict=True), strict=True)
            connection.execute(statement, {f"new_{name}": list(values) for name, values in given})

    def _row_of(self, refusal: Refusal) -> dict[str, Any]:
        headers = msgspec.json.encode(refusal.headers).decode()
        return {**asdict(refusal), "headers": headers, "node": self.node}


def _unfolded(entry: Entry) -> list[Entry]:
    """Return the lines of a row: the webhook that ended a job is in the row of the end."""
    if entry.event != Event.ENDED:
        return [entry]
    facts = msgspec.json.decode(entry.facts, type=dict[str, Any])
    answer = facts.pop(Event.WEBHOOK.value, None)
    if answer is None:
        return [entry]
    webhook = Entry(entry.at, Event.WEBHOOK.value, entry.node, msgspec.Raw(msgspec.json.encode({"answer": answer})))
    return [webhook, entry._replace(facts=msgspec.Raw(msgspec.json.encode(facts)))]


def forget(connection: Connection, among: Callable[[Any], Any], request_ids: Iterable[str]) -> None:
    """Delete the lines of jobs that are removed in the same transaction."""
    connection.execute(delete(journal).where(among(journal.c.request_id)), {"ids": list(request_ids)})


_Condition = Callable[[Sequence[ColumnElement[Any]]], ColumnElement[bool]]
"""Returns a condition on a line, whose columns are those of `_GIVEN`."""


def _insert(database: Database, *conditions: _Condition) -> Executable:
    """Return an INSERT of the lines that meet the conditions, from one array for each column, on SQLite from JSON.

    One statement for any number of lines (SQLite: 6 µs a line, 10 µs with one statement each).
    """
    if database.one_writer:
        value = func.json_each(bindparam("lines", type_=Text)).table_valued("value").c.value
        given: list[ColumnElement[Any]] = [func.json_extract(value, f"$[{number}]") for number in range(len(_GIVEN))]
    else:
        types = (*(journal.c[name].type for name in _COLUMNS), Integer())
        arrays = [bindparam(f"new_{name}", type_=ARRAY(kind)) for name, kind in zip(_GIVEN, types, strict=True)]
        table = func.unnest(*arrays).table_valued(*_GIVEN).render_derived(name="given")
        given = [table.columns[name] for name in _GIVEN]
    rows = select(*given[:-1]).where(*(condition(given) for condition in conditions))
    return insert(journal).from_select(_COLUMNS, rows)


def _has_room(given: Sequence[ColumnElement[Any]]) -> ColumnElement[bool]:
    """Lines of one statement do not count each other, so that a job may get a few more."""
    name, event, *_, room = given
    written = journal.alias()
    count = select(func.count()).where(written.c.request_id == name, written.c.event == event).scalar_subquery()
    return count < room


def _is_known(given: Sequence[ColumnElement[Any]]) -> ColumnElement[bool]:
    return exists().where(jobs.c.request_id == given[0])


def _stored(at: datetime) -> str:
    """Return a time as SQLite's column has it."""
    utc = at.astimezone(UTC)
    whole = utc.replace(microsecond=utc.microsecond // 1000 * 1000, tzinfo=None)
    return whole.isoformat(" ", "microseconds")


def _counted(database: Database) -> Executable:
    """Return an INSERT of a refusal that adds itself to an equal one of the same hour."""
    new = database.upsert(refused_webhooks)
    known = refused_webhooks.c
    values = {"count": known.count + new.excluded.count, "last_at": new.excluded.last_at, "node": new.excluded.node}
    return new.on_conflict_do_update(index_elements=["id"], set_=values)


def _oldest() -> Select[tuple[str]]:
    """Return the ids of the refusals beyond the newest `KEPT_REFUSALS`."""
    by_age = (refused_webhooks.c.last_at.desc(), refused_webhooks.c.id)
    return select(refused_webhooks.c.id).order_by(*by_age).offset(KEPT_REFUSALS)


def _refusal(row: RowMapping) -> Refusal:
    headers = msgspec.json.decode(row["headers"], type=dict[str, str])
    return Refusal(**{**{name: row[name] for name in Refusal.__struct_fields__}, "headers": headers})
