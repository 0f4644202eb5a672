"""The journal of jobs, and the refused webhooks, in the database."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec.structs import asdict
from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Executable,
    Integer,
    RowMapping,
    Select,
    UpdateBase,
    delete,
    exists,
    func,
    insert,
    not_,
    or_,
    select,
)

from hookcast.journal import Event, Line, Refusal
from hookcast.store.base import Database, ForEach, Given
from hookcast.store.schema import jobs, journal, refused_webhooks

_T = TypeVar("_T")
KEPT_REFUSALS = 1000
_COLUMNS = ("request_id", "event", "at", "node", "facts")
LINE = {**{name: journal.c[name].type for name in _COLUMNS}, "room": Integer()}
"""The given columns of a line."""
COUNTED_LINE = {**LINE, "elsewhere": Boolean()}
"""Those of a line that needs room; one `elsewhere` is of a job that may be unknown."""


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

    async def of_job(self, request_id: str) -> list[Entry]:
        """Return the lines of a job, in the order of their times."""
        columns = (journal.c.at, journal.c.event, journal.c.node, journal.c.facts)
        found = select(*columns).where(journal.c.request_id == request_id).order_by(journal.c.at, journal.c.id)
        rows = await self._database.read(lambda connection: connection.execute(found).all())
        entries = (Entry(at, event, node, _facts(facts)) for at, event, node, facts in rows if at is not None)
        return [line for entry in entries for line in _unfolded(entry)]

    async def add(self, lines: Sequence[Line]) -> None:
        """Write lines that no change has caused. Those of unknown jobs are left out."""

        def write(connection: Connection) -> None:
            self._write(connection, lines, few=_FEW_NOTES, repeated=_OF_NOTES)

        await self._database.write(write)

    def write(self, connection: Connection, lines: Sequence[Line]) -> None:
        """Write the lines of changes, in their transaction; no statement when there are none."""
        others = [line for line in lines if line.of_another_job]
        own = [line for line in lines if not line.of_another_job] if others else lines
        self._write(connection, own, few=_FEW_OF_CHANGES, repeated=_OF_CHANGES)
        if others:
            self._execute(connection, _OF_NOTES, others)

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
        return [_refusal(row) for row in rows if row["first_at"] is not None and row["last_at"] is not None]

    def _write(self, connection: Connection, lines: Sequence[Line], *, few: ForEach, repeated: ForEach) -> None:
        for statement, some in zip((few, repeated), _parted(lines), strict=True):
            if some:
                self._execute(connection, statement, some)

    def rows(self, lines: Sequence[Line]) -> tuple[list[Any], list[Any]]:
        """Return the rows of `LINE` and those of `COUNTED_LINE` of the lines of changes."""
        plain, counted = _parted(lines)
        return (
            [self._values(line) for line in plain],
            [(*self._values(line), line.of_another_job) for line in counted],
        )

    def _values(self, line: Line) -> tuple[Any, ...]:
        facts = msgspec.json.encode(line.facts).decode()
        return line.request_id, line.event.value, line.at, self.node, facts, line.room

    def _execute(self, connection: Connection, statement: ForEach, lines: Sequence[Line]) -> None:
        self._database.for_each(connection, statement, [self._values(line) for line in lines])

    def _row_of(self, refusal: Refusal) -> dict[str, Any]:
        headers = msgspec.json.encode(refusal.headers).decode()
        return {**asdict(refusal), "headers": headers, "node": self.node}


def _parted(lines: Sequence[Line]) -> tuple[list[Line], list[Line]]:
    """Return the lines that need no room, and those that do: all of a job if one repeats, to keep their order."""
    counted = {line.request_id for line in lines if line.repeats}
    return (
        [line for line in lines if line.request_id not in counted],
        [line for line in lines if line.request_id in counted],
    )


def _facts(text: str) -> msgspec.Raw:
    """Return the facts of a line, or none if they are broken: the other lines must be shown."""
    return msgspec.Raw(text.encode() if _decode(text, dict[str, msgspec.Raw]) is not None else b"{}")


def _decode(text: str, shape: type[_T]) -> _T | None:
    try:
        return msgspec.json.decode(text, type=shape)
    except msgspec.DecodeError:
        return None


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


_Condition = Callable[[Given], ColumnElement[bool]]
"""Returns a condition on a line, whose columns are those of `LINE`."""


def _insert(*conditions: _Condition) -> ForEach:
    """Return an INSERT of the lines that meet the conditions."""

    def make(_database: Database, given: Given) -> UpdateBase:
        return noting(given, *(condition(given) for condition in conditions))

    return ForEach(LINE, make)


def _has_room(given: Given) -> ColumnElement[bool]:
    """Lines of one statement may not count each other, so that a job may get a few more."""
    written = journal.alias()
    of_job = (written.c.request_id == given["request_id"], written.c.event == given["event"])
    return select(func.count()).where(*of_job).scalar_subquery() < given["room"]


def _is_known(given: Given) -> ColumnElement[bool]:
    return exists().where(jobs.c.request_id == given["request_id"])


def noting(given: Given, *where: ColumnElement[bool]) -> UpdateBase:
    """Return an INSERT of the lines that meet the conditions."""
    return insert(journal).from_select(_COLUMNS, select(*(given[name] for name in _COLUMNS)).where(*where))


def noting_counted(given: Given, *where: ColumnElement[bool]) -> UpdateBase:
    """Return an INSERT of the lines that meet the conditions and have room."""
    return noting(given, *where, _has_room(given), or_(not_(given["elsewhere"]), _is_known(given)))


_FEW_OF_CHANGES, _OF_CHANGES = _insert(), _insert(_has_room)
_FEW_NOTES, _OF_NOTES = _insert(_is_known), _insert(_has_room, _is_known)


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
    headers = _decode(row["headers"], dict[str, str]) or {}
    return Refusal(**{**{name: row[name] for name in Refusal.__struct_fields__}, "headers": headers})
