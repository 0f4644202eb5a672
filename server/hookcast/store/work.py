"""The table of durable work: pieces that are committed with their cause, and claimed by one node at a time.

A claim is a lease by the database's own clock. When it ends, because its node died or lost the database, any node may
claim the piece again: each piece runs at least once, and only one node at a time can finish or postpone it.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from msgspec import Struct
from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    Float,
    RowMapping,
    Select,
    Text,
    UpdateBase,
    delete,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.types import TypeEngine

from hookcast.consequences import Consequences, Kind, Start
from hookcast.store.base import Database, ForEach, Given
from hookcast.store.schema import work

PIECE: dict[str, TypeEngine[Any]] = {
    "id": Text(),
    "kind": Text(),
    "request_id": Text(),
    "after": Float(),
    "facts": Text(),
}
_ANY = true()  # SQLite wants a WHERE before ON CONFLICT


class Piece(Struct, frozen=True, kw_only=True):
    """A claimed piece of work. `attempts` counts this claim, too; `facts` is JSON that only its handler reads."""

    id: str
    kind: str
    request_id: str
    attempts: int
    facts: str


class Record(NamedTuple):
    """How a claimed piece goes on: it is done, or runs again in `seconds`, with new facts (None = the same)."""

    id: str
    holder: str
    seconds: float | None = None
    facts: str | None = None


class Waiting(NamedTuple):
    """A piece that is not done: the seconds until it is due, and whether a node has it."""

    id: str
    facts: str
    seconds: float
    claimed: bool


class WorkTable:
    """The durable work in the database. `holder` names the node that claims; methods raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._now = select(database.clock).scalar_subquery()  # read once a statement, so that an index can be used
        self._free = or_(work.c.lease_until.is_(None), work.c.lease_until <= self._now)
        # Built once: each statement has reference cycles.
        self._claimed = _locked(database).add_columns(work.c.holder)
        self._gone = delete(work).where(database.among(work.c.id))
        self._nexts: dict[tuple[str, ...], Executable] = {}  # by kinds: those of a node that are not fully occupied

    async def next_due(self, kinds: Iterable[str]) -> dict[str, float]:
        """Return the seconds until the next unclaimed piece is due, negative when it is overdue, by kind.

        Kinds without such a piece are left out.
        """
        asked = tuple(kinds)
        if not asked:
            return {}
        if asked not in self._nexts:
            firsts = [select(literal(kind).label("kind"), self._first(kind).label("seconds")) for kind in asked]
            self._nexts[asked] = union_all(*firsts)
        every = self._nexts[asked]
        rows = await self._database.read(lambda connection: connection.execute(every).all())
        return {kind: seconds for kind, seconds in rows if seconds is not None}

    async def claim(
        self, kind: str, limit: int, holder: str, seconds: float, *, overdue: float = 0.0, light: bool = False
    ) -> list[Piece]:
        """Claim at most `limit` pieces for `seconds`, those first that have waited longest.

        They have been due for `overdue` seconds at least. `light`: without their facts, which may be large.
        """
        due = (
            select(work.c.id)
            .where(*self._waiting(kind), work.c.due_at <= self._now - overdue)
            .order_by(work.c.due_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        facts = literal("").label("facts") if light else work.c.facts
        claim = update(work).where(work.c.id.in_(select(due.c.id)))
        values = {"holder": holder, "lease_until": self._until(seconds), "attempts": work.c.attempts + 1}
        found = claim.values(values).returning(work.c.id, work.c.kind, work.c.request_id, work.c.attempts, facts)
        return await self._database.write(
            lambda connection: [_piece(row) for row in connection.execute(found).mappings()]
        )

    async def facts(self, piece_id: str) -> str | None:
        """Return the facts of a piece; None when it is not there any more."""
        wanted = select(work.c.facts).where(work.c.id == piece_id)
        return await self._database.read(lambda connection: connection.execute(wanted).scalar_one_or_none())

    async def size(self, piece_id: str) -> int | None:
        """Return the size of a piece's facts in bytes; None when it is not there any more."""
        wanted = select(self._database.octets(work.c.facts)).where(work.c.id == piece_id)
        return await self._database.read(lambda connection: connection.execute(wanted).scalar_one_or_none())

    async def renew(self, ids: Iterable[str], holder: str, seconds: float) -> set[str]:
        """Claim these pieces for `seconds` from now; return the ids of those that `holder` still has."""
        ours = _locked(self._database).where(work.c.holder == holder)
        renew = update(work).where(work.c.id.in_(ours)).values(lease_until=self._until(seconds)).returning(work.c.id)
        wanted = {"ids": list(ids)}
        return await self._database.write(lambda connection: set(connection.execute(renew, wanted).scalars()))

    async def release(self, holder: str) -> None:
        """Give back what `holder` has claimed: any node may claim it at once."""
        ours = select(work.c.id).where(work.c.holder == holder).order_by(work.c.id).with_for_update()
        free = update(work).where(work.c.id.in_(ours)).values(holder=None, lease_until=None)
        await self._database.write(lambda connection: connection.execute(free))

    async def finish(self, piece_id: str, holder: str) -> bool:
        """Delete a piece that is done; return False when another node has it, or it was deleted with its cause."""
        [held] = await self.record([Record(piece_id, holder)])
        return held

    async def later(self, piece_id: str, holder: str, seconds: float, facts: str) -> bool:
        """Give a piece back until `seconds` from now, with new facts; return False as `finish` does."""
        [held] = await self.record([Record(piece_id, holder, seconds, facts)])
        return held

    async def record(self, records: Sequence[Record]) -> list[bool]:
        """Finish or postpone pieces, in one transaction; return for each whether its holder had it still."""

        def write(connection: Connection) -> list[bool]:
            rows = connection.execute(self._claimed, {"ids": [record.id for record in records]})
            holders = {row.id: row.holder for row in rows}
            held = [record for record in records if holders.get(record.id) == record.holder]
            if gone := [record.id for record in held if record.seconds is None]:
                connection.execute(self._gone, {"ids": gone})
            later = [record for record in held if record.seconds is not None]
            if later:
                values = [(record.id, record.seconds, record.facts) for record in later]
                self._database.for_each(connection, _POSTPONE, values)
            return [holders.get(record.id) == record.holder for record in records]

        return await self._database.write(write)

    async def start(self, starts: Sequence[Start]) -> None:
        """Add work that no change of a job causes. A piece that exists stays as it is."""
        await self._database.write(lambda connection: add(self._database, connection, sorted(starts)))

    async def again(self, starts: Sequence[Start]) -> None:
        """Add work that is to run now, from its beginning, whatever became of such a piece before."""
        rows = [*map(values, sorted(starts))]
        await self._database.write(lambda connection: self._database.for_each(connection, _AGAIN, rows))

    async def drop(self, ids: Sequence[str]) -> None:
        """Delete pieces that are needless now, except those that a node has claimed."""
        free = _locked(self._database).where(self._free)
        drop = delete(work).where(work.c.id.in_(free))
        await self._database.write(lambda connection: connection.execute(drop, {"ids": list(ids)}))

    async def of_job(self, kind: str, request_id: str) -> list[Waiting]:
        """Return the pieces of this kind of a job."""
        found = select(work.c.id, work.c.facts, work.c.due_at - self._now, not_(self._free)).where(
            work.c.request_id == request_id, work.c.kind == kind
        )
        return await self._database.read(lambda connection: [Waiting(*row) for row in connection.execute(found)])

    async def request_ids(self) -> set[str]:
        """Return the requestIds of all jobs that have work which is not done."""
        every = select(work.c.request_id).distinct()
        return await self._database.read(lambda connection: set(connection.execute(every).scalars()))

    async def waiting(self, kind: str) -> int:
        """Return the number of pieces that are not done, claimed ones included."""
        count = select(func.count()).select_from(work).where(work.c.kind == kind)
        return await self._database.read(lambda connection: int(connection.scalar(count) or 0))

    async def due(self, kind: str) -> int:
        """Return the number of pieces that run or could run now: not those that wait for a later attempt."""
        count = select(func.count()).select_from(work).where(work.c.kind == kind, work.c.due_at <= self._now)
        return await self._database.read(lambda connection: int(connection.scalar(count) or 0))

    def _first(self, kind: str) -> ColumnElement[float | None]:
        return select(func.min(work.c.due_at)).where(*self._waiting(kind)).scalar_subquery() - self._now

    def _waiting(self, kind: str) -> tuple[ColumnElement[bool], ...]:
        return work.c.kind == kind, self._free

    def _until(self, seconds: float) -> ColumnElement[float]:
        return self._database.clock + seconds


def write(database: Database, connection: Connection, found: Sequence[Consequences]) -> None:
    """Add and delete the work of changes, in their transaction; no statement when there is none."""
    starts = sorted(start for each in found for start in each.starts)  # ordered: no deadlocks
    ends = [name for each in found for name in each.ends]
    if starts:
        add(database, connection, starts)
    if ends:
        gone = delete(work).where(work.c.id.in_(_locked(database)))
        connection.execute(gone, {"ids": ends})


def ending(ids: Select[Any]) -> UpdateBase:
    """Return a DELETE of these pieces, locked in one order: no deadlocks."""
    return delete(work).where(work.c.id.in_(_in_order(work.c.id.in_(ids))))


def forget(database: Database, connection: Connection, request_ids: Sequence[str]) -> None:
    """Delete what waits to be sent of jobs that are removed in the same transaction."""
    sent = database.among(work.c.request_id), work.c.kind.in_((Kind.TELL.value, Kind.RELAY.value))
    locked = select(work.c.id).where(*sent).order_by(work.c.id).with_for_update()
    connection.execute(delete(work).where(work.c.id.in_(locked)), {"ids": list(request_ids)})


def add(database: Database, connection: Connection, starts: Sequence[Start]) -> None:
    """Add work. A piece that exists stays as it is."""
    database.for_each(connection, _ADD, [*map(values, starts)])


def values(start: Start) -> tuple[Any, ...]:
    """Return the values of `PIECE`."""
    return start.id, start.kind.value, start.request_id, start.after, start.facts


def _started(database: Database, given: Given, where: ColumnElement[bool]) -> Insert:
    """Return an INSERT of pieces."""
    columns = {**given, "after": database.clock + given["after"], "attempts": literal(0)}
    named = {"due_at" if name == "after" else name: value for name, value in columns.items()}
    return database.upsert(work).from_select([*named], select(*named.values()).where(where))


def adding(database: Database, given: Given, where: ColumnElement[bool] = _ANY) -> Insert:
    """Return an INSERT of the pieces that meet the condition. A piece that exists stays as it is."""
    return _started(database, given, where).on_conflict_do_nothing(index_elements=["id"])


def _again(database: Database, given: Given) -> UpdateBase:
    insert = _started(database, given, _ANY)
    anew = {name: insert.excluded[name] for name in ("due_at", "attempts", "facts")}
    return insert.on_conflict_do_update(index_elements=["id"], set_={**anew, "holder": None, "lease_until": None})


def _postpone(database: Database, given: Given) -> UpdateBase:
    """Return an UPDATE that gives pieces back; those without new facts keep theirs."""
    facts = func.coalesce(given["facts"], work.c.facts)
    values = {"due_at": database.clock + given["after"], "holder": None, "lease_until": None, "facts": facts}
    return update(work).where(work.c.id == given["id"]).values(values)


_ADD, _AGAIN = ForEach(PIECE, adding), ForEach(PIECE, _again)
_POSTPONE = ForEach({"id": Text(), "after": Float(), "facts": Text()}, _postpone)


def _locked(database: Database) -> Select[tuple[str]]:
    """Return the selection of the pieces in the parameter `ids`, locked in one order: no deadlocks."""
    return _in_order(database.among(work.c.id))


def _in_order(among: ColumnElement[bool]) -> Select[tuple[str]]:
    return select(work.c.id).where(among).order_by(work.c.id).with_for_update()


def _piece(row: RowMapping) -> Piece:
    return Piece(**{name: row[name] for name in Piece.__struct_fields__})
