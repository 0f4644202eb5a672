"""The table of durable work: pieces that are committed with their cause, and claimed by one node at a time.

A claim is a lease by the database's own clock. When it ends, because its node died or lost the database, any node may
claim the piece again: each piece runs at least once, and only one node at a time can finish or postpone it.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct
from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    RowMapping,
    Select,
    bindparam,
    delete,
    func,
    literal,
    or_,
    select,
    union_all,
    update,
)

from hookcast.consequences import Consequences, Start
from hookcast.store.base import Database
from hookcast.store.schema import work


class Piece(Struct, frozen=True, kw_only=True):
    """A claimed piece of work. `attempts` counts this claim, too; `facts` is JSON that only its handler reads."""

    id: str
    kind: str
    request_id: str
    attempts: int
    facts: str


class WorkTable:
    """The durable work in the database. `holder` names the node that claims; methods raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._now = select(database.clock).scalar_subquery()  # read once a statement, so that an index can be used
        self._free = or_(work.c.lease_until.is_(None), work.c.lease_until <= self._now)

    async def next_due(self, kinds: Iterable[str]) -> dict[str, float]:
        """Return the seconds until the next unclaimed piece is due, negative when it is overdue, by kind.

        Kinds without such a piece are left out.
        """
        firsts = [select(literal(kind).label("kind"), self._first(kind).label("seconds")) for kind in kinds]
        if not firsts:
            return {}
        every = union_all(*firsts)
        rows = await self._database.read(lambda connection: connection.execute(every).all())
        return {kind: seconds for kind, seconds in rows if seconds is not None}

    async def claim(self, kind: str, limit: int, holder: str, seconds: float, *, overdue: float = 0.0) -> list[Piece]:
        """Claim at most `limit` pieces for `seconds`, those first that have waited longest.

        They have been due for `overdue` seconds at least.
        """
        due = (
            select(work.c.id)
            .where(*self._waiting(kind), work.c.due_at <= self._now - overdue)
            .order_by(work.c.due_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        claim = update(work).where(work.c.id.in_(select(due.c.id))).returning(work)
        values = {"holder": holder, "lease_until": self._until(seconds), "attempts": work.c.attempts + 1}
        return await self._database.write(
            lambda connection: [_piece(row) for row in connection.execute(claim.values(values)).mappings()]
        )

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
        gone = delete(work).where(*_held(piece_id, holder))
        return await self._database.write(lambda connection: connection.execute(gone).rowcount > 0)

    async def later(self, piece_id: str, holder: str, seconds: float, facts: str) -> bool:
        """Give a piece back until `seconds` from now, with new facts; return False as `finish` does."""
        values = {"due_at": self._until(seconds), "holder": None, "lease_until": None, "facts": facts}
        postpone = update(work).where(*_held(piece_id, holder)).values(values)
        return await self._database.write(lambda connection: connection.execute(postpone).rowcount > 0)

    async def start(self, starts: Sequence[Start]) -> None:
        """Add work that no change of a job causes. A piece that exists stays as it is."""
        await self._database.write(lambda connection: add(self._database, connection, sorted(starts)))

    async def request_ids(self) -> set[str]:
        """Return the requestIds of all jobs that have work which is not done."""
        every = select(work.c.request_id).distinct()
        return await self._database.read(lambda connection: set(connection.execute(every).scalars()))

    async def waiting(self, kind: str) -> int:
        """Return the number of pieces that are not done, claimed ones included."""
        count = select(func.count()).select_from(work).where(work.c.kind == kind)
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


def add(database: Database, connection: Connection, starts: Sequence[Start]) -> None:
    """Add work. A piece that exists stays as it is."""
    due_at = database.clock + bindparam("after", type_=Float)
    insert = database.upsert(work).values(due_at=due_at, attempts=0).on_conflict_do_nothing(index_elements=["id"])
    connection.execute(insert, [{**start._asdict(), "kind": start.kind.value} for start in starts])


def _locked(database: Database) -> Select[tuple[str]]:
    """Return the selection of the pieces in the parameter `ids`, locked in one order: no deadlocks."""
    return select(work.c.id).where(database.among(work.c.id)).order_by(work.c.id).with_for_update()


def _held(piece_id: str, holder: str) -> tuple[ColumnElement[bool], ...]:
    return work.c.id == piece_id, work.c.holder == holder


def _piece(row: RowMapping) -> Piece:
    return Piece(**{name: row[name] for name in Piece.__struct_fields__})
