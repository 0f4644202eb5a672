"""How long jobs usually take."""

import statistics

from sqlalchemy import select

from hookcast.jobs import JobStatus
from hookcast.store.base import Database
from hookcast.store.schema import jobs

MEDIAN_OF = 21
MAX_COMPLETIONS = 100  # rows read to find these


class Durations:
    """The durations of the jobs in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def usual_seconds(self, endpoint_id: str) -> float | None:
        """Return the median seconds from creation to completion over the endpoint's last completions, None without any.

        Jobs first known from their webhook have no duration and do not count.
        """
        recent = (
            select(jobs.c.created_at, jobs.c.completed_at)
            .where(jobs.c.endpoint_id == endpoint_id, jobs.c.status == JobStatus.COMPLETED.value)
            .order_by(jobs.c.completed_at.desc())
            .limit(MAX_COMPLETIONS)
        )
        rows = await self._database.read(lambda connection: connection.execute(recent).all())
        durations = [(end - start).total_seconds() for start, end in rows if start and end and end > start][:MEDIAN_OF]
        return round(statistics.median(durations), 3) if durations else None
