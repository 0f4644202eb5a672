"""Leases: the right of one node to a task for a limited time, by the database's own clock."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Select, and_, delete, func, literal, or_, select

from hookcast.jobs import Job, JobStatus
from hookcast.store.base import Database
from hookcast.store.removal import remove
from hookcast.store.rows import jobs_of
from hookcast.store.schema import jobs, leases


def ask_lease(request_id: str) -> str:
    """Return the name of the lease for asking fal about a job."""
    return f"ask:{request_id}"


class Leases:
    """Leases in the database. They expire on their own, so a dead node causes only a pause."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, names: Iterable[str], owner: str, seconds: float) -> set[str]:
        """Take or renew the leases that are free or held by `owner`; return the names held for `seconds` from now."""
        wanted = sorted(set(names))  # ordered: no deadlocks
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
        """Release the leases that `owner` holds."""
        ours = and_(leases.c.name.in_(list(names)), leases.c.owner == owner)
        await self._database.write(lambda connection: connection.execute(delete(leases).where(ours)))

    async def forget_ended(self, limit: int) -> int:
        """Delete at most `limit` leases that expired at least an hour ago; return how many (see `remove`)."""
        ended = select(leases.c.name).where(leases.c.until < self._database.clock - 3600.0)
        return await remove(self._database, ended, limit)

    async def to_ask_about(self, limit: int, *, created_before: datetime) -> list[Job]:
        """Return at most `limit` pending jobs whose `ask:` lease is free, least recently asked about first.

        Those whose files are being copied are left out: fal has nothing more to say about them.
        """
        return await self._database.read(jobs_of(self._unasked(created_before).limit(limit)))

    def _unasked(self, created_before: datetime) -> Select[tuple[object, ...]]:
        clock = self._database.clock
        name = literal("ask:").concat(jobs.c.request_id)
        return (
            select(jobs)
            .outerjoin(leases, leases.c.name == name)
            .where(jobs.c.status == JobStatus.PENDING.value, jobs.c.created_at <= created_before)
            .where(jobs.c.result.is_(None))
            .where(or_(leases.c.until.is_(None), leases.c.until <= clock))
            .order_by(func.coalesce(leases.c.until, 0.0), jobs.c.created_at)
        )
