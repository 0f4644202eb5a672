"""Leases: which node does something that only one may do, for how long, by the database's own clock."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Select, and_, delete, func, literal, or_, select

from hookcast.jobs import Job, JobStatus
from hookcast.store.base import Database
from hookcast.store.schema import jobs, jobs_of, leases


def ask_lease(request_id: str) -> str:
    """The name of the lease of asking fal about a job."""
    return f"ask:{request_id}"


class Leases:
    """A lease ends by itself, so a node that dies leaves nothing behind but a pause."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, names: Iterable[str], owner: str, seconds: float) -> set[str]:
        """Take, or prolong, what is free or ours already; answers the names that are ours for so long from now."""
        wanted = sorted(set(names))  # one order, so no deadlocks
        if not wanted:
            return set()
        clock = self._database.clock
        insert = self._database.upsert(leases).values(until=clock + seconds)
        free = or_(leases.c.until <= clock, leases.c.owner == insert.excluded.owner)
        take = insert.on_conflict_do_update(
            index_elements=["name"], set_={"owner": insert.excluded.owner, "until": insert.excluded.until}, where=free
        ).returning(leases.c.name)
        rows = [{"name": name, "owner": owner} for name in wanted]
        return await self._database.write(lambda connection: set(connection.execute(take, rows).scalars()))

    async def release(self, names: Iterable[str], owner: str) -> None:
        """Give ours back."""
        ours = and_(leases.c.name.in_(list(names)), leases.c.owner == owner)
        await self._database.write(lambda connection: connection.execute(delete(leases).where(ours)))

    async def forget_ended(self) -> None:
        """Remove the rows of leases that ended an hour ago or earlier."""
        ended = delete(leases).where(leases.c.until < self._database.clock - 3600.0)
        await self._database.write(lambda connection: connection.execute(ended))

    async def to_ask_about(self, limit: int, *, created_before: datetime) -> list[Job]:
        """Pending jobs about which nobody has asked fal lately; the longest unasked first."""
        return await self._database.read(jobs_of(self._unasked(created_before).limit(limit)))

    def _unasked(self, created_before: datetime) -> Select[tuple[object, ...]]:
        clock = self._database.clock
        name = literal("ask:").concat(jobs.c.request_id)
        return (
            select(jobs)
            .outerjoin(leases, leases.c.name == name)
            .where(jobs.c.status == JobStatus.PENDING.value, jobs.c.created_at <= created_before)
            .where(or_(leases.c.until.is_(None), leases.c.until <= clock))
            .order_by(func.coalesce(leases.c.until, 0.0), jobs.c.created_at)
        )
