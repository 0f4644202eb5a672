"""The operations of the job store. Each is atomic, has a deadline, and raises only StoreUnavailable."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from hookcast.auth import EVERYBODY, Caller
from hookcast.jobs import Job, JobStatus, MediaFile
from hookcast.jwks import StoredKeys
from hookcast.postgres_url import SCHEMA
from hookcast.store import base
from hookcast.store.base import Database, LookUp
from hookcast.store.batching import Batch, Limit
from hookcast.store.changes import Ask, Causes, Change, Changes, Joining, no_effects
from hookcast.store.database import open_database
from hookcast.store.deployment import deployment_id
from hookcast.store.durations import Durations
from hookcast.store.inputs import Inputs
from hookcast.store.journal import Journal
from hookcast.store.leases import Leases
from hookcast.store.listing import Feed, JobPage, JobQuery, Order, latest, listed, page_of
from hookcast.store.outlines import Outline, columns, from_outline, size
from hookcast.store.removal import STEP_SECONDS, forget_removed, remove_ended_jobs, remove_job
from hookcast.store.rows import jobs_of, media_of, status_of, version_of
from hookcast.store.schema import fal_keys, jobs
from hookcast.store.submits import Submits
from hookcast.store.work import WorkTable
from hookcast.tasks import beside


class Named(NamedTuple):
    """A job's status, and the files that its result names."""

    request_id: str
    status: str
    media: tuple[MediaFile, ...]


class Ended(NamedTuple):
    """A job that has ended: its status, version and end."""

    request_id: str
    status: JobStatus
    version: int
    at: datetime


class Written(NamedTuple):
    """A written row: its request ID, version, owner and group, and when it was written (see `changed_since`)."""

    request_id: str
    version: int
    owner: str | None
    group: str | None
    changed_at: float


@asynccontextmanager
async def open_store(url: str, schema: str = SCHEMA, node: str = "") -> AsyncIterator["JobStore"]:
    """Open the database, on PostgreSQL in `schema`, migrate it to the newest schema, and close it on exit.

    `node` names this node in the journal.

    Raises StoreUnavailable when it cannot be opened, StoreRefused when it cannot be used as it is.
    """
    database = open_database(url, schema)
    store = JobStore(database, node)
    try:
        await database.migrate()
        async with beside(store.reads.run(), store.feeds.run(), store.changes.run(), database.watch()):
            yield store
    finally:
        await database.close()


class JobStore:
    """Jobs, submits and fal's public keys in one database; reads and changes of single jobs are batched."""

    def __init__(self, database: Database, node: str = "") -> None:
        self._database = database
        self._outlines = LookUp(columns(database), jobs.c.request_id, from_outline)
        limit = Limit(lambda: base.DEADLINE_SECONDS, base.late)
        self.reads = Batch(self._read_many, limit)
        self.feeds = Batch(self._read_feeds, limit)
        self.journal = Journal(database, node)
        self.changes = Batch(Changes(database, self.journal).work, limit, lambda ask: ask.size)
        self.leases = Leases(database)
        self.submits = Submits(database)
        self.inputs = Inputs(database)
        self.work = WorkTable(database)
        self.durations = Durations(database)

    async def probe(self) -> None:
        """Commit a small write. Raises StoreUnavailable with the reason."""
        await self._database.probe()

    async def deployment(self) -> str:
        """Return the id that all nodes of this database share, and no other database has."""
        return await deployment_id(self._database)

    async def outline(self, request_id: str) -> Outline | None:
        """Return the job's outline, or None. Concurrent calls share a query."""
        return await self.reads.ask(request_id)

    async def outlines(self, request_ids: Iterable[str]) -> list[Outline]:
        """Return the outlines of the jobs that exist, in this order."""
        asked = [self.reads.ask(request_id) for request_id in request_ids]
        return [outline for outline in await asyncio.gather(*asked) if outline is not None]

    async def get(self, request_id: str) -> Job | None:
        """Return the whole job, or None. Concurrent calls share a query, but not for large columns."""
        outline = await self.outline(request_id)
        if outline is None or not outline.left_out:
            return None if outline is None else outline.job
        return await self.whole(request_id)

    async def whole(self, request_id: str) -> Job | None:
        """Return the job with its large columns, or None, by a separate query."""
        found = await self._database.read(jobs_of(select(jobs).where(jobs.c.request_id == request_id)))
        return next(iter(found), None)

    async def get_many(self, request_ids: Iterable[str]) -> dict[str, Job]:
        """Return the jobs that exist, by request ID."""
        found = await asyncio.gather(*map(self.get, request_ids))
        return {job.request_id: job for job in found if job is not None}

    async def of_group(self, group: str, limit: int, seen_by: Caller = EVERYBODY) -> dict[str, int]:
        """Return the versions of at most `limit` jobs of the group that `seen_by` sees, most recently changed first.

        Concurrent calls share a query.
        """
        return await self.feeds.ask(Feed(limit, group=group, seen_by=seen_by))

    async def of_owner(self, owner: str, limit: int) -> dict[str, int]:
        """Return the versions of at most `limit` jobs of the owner, most recently changed first.

        Concurrent calls share a query.
        """
        return await self.feeds.ask(Feed(limit, owner=owner))

    async def last_retry(self, request_id: str) -> Job | None:
        """Return the newest of the jobs that retry this one, without its large columns; None if there is none."""
        newest = select(jobs.c.request_id).where(jobs.c.retry_of == request_id)
        newest = newest.order_by(jobs.c.created_at.desc(), jobs.c.request_id.desc()).limit(1)
        found = await self._database.read(lambda connection: connection.scalar(newest))
        outline = None if found is None else await self.outline(found)
        return None if outline is None else outline.job

    async def written_since(self, moment: datetime, limit: int) -> dict[str, int]:
        """Return the versions of at most `limit` jobs written since, by the database's clock, the latest first."""
        latest = select(jobs).where(jobs.c.changed_at >= moment.timestamp())
        latest = latest.order_by(jobs.c.changed_at.desc(), jobs.c.request_id.desc()).limit(limit)
        return await self._versions(latest)

    async def changed_since(self, moment: float) -> tuple[list[Written], float]:
        """Return the rows written after `moment` (unix seconds by the database's clock), and the moment to pass next.

        Rows become visible out of order, some long after their `changed_at`. The returned moment precedes every row
        that is not visible yet. Raises StoreUnavailable also on a server that takes no writes: after a fail-over, a
        node that only reads would not notice otherwise, and show states of the past.
        """
        columns = (jobs.c.request_id, jobs.c.version, jobs.c.owner, jobs.c.group_name, jobs.c.changed_at)
        written = select(*columns).where(jobs.c.changed_at > moment)  # all from the index

        def read(connection: Connection) -> tuple[list[Written], float]:
            self._database.check_writable(connection)
            horizon = connection.execute(select(self._database.horizon)).scalar_one()
            rows = connection.execute(written.order_by(jobs.c.changed_at))
            # A time that is text is "after" any: the next write of its row mends it.
            found = (row for row in rows if not isinstance(row.changed_at, str | bytes))
            return [Written(row[0], version_of(*row[:2]), *row[2:]) for row in found], horizon

        return await self._database.read(read)

    async def change(
        self,
        request_id: str,
        step: Callable[[Job | None], Job],
        joining: Joining | None = None,
        causes: Causes = no_effects,
        *,
        revives: bool = True,
        size: int = 0,
    ) -> Change:
        """Read the job, apply `step`, and commit the result before returning.

        `step` must be pure; it is called again when another node wins the race. When it returns the job it was given,
        nothing is written. `joining` is the submit that made the job; the same transaction settles it, and writes the
        effects that `causes` returns, also if the job stays the same. Unless it `revives`, a change does not make a job
        that was removed by request in the last days: it stays unknown, at version 0, and nothing is written. `size` is
        what the change writes, in bytes, if that is much: large ones are not committed together.

        After StoreUnavailable it is unknown whether the change was committed.
        """
        return await self.changes.ask(Ask(request_id, step, joining, causes, revives, size))

    async def page(self, query: JobQuery) -> JobPage:
        """Return one page of jobs: at most `limit`, and PAGE_BYTES unless one job alone is larger."""
        moment = jobs.c.updated_at if query.order is Order.UPDATED else jobs.c.created_at
        keys = (moment, jobs.c.request_id, jobs.c.version, size(self._database))
        rows = await self._rows(listed(self._database, query), *keys)
        return page_of([(at, request_id, version, size) for at, request_id, version, size in rows], query.limit)

    async def media_after(self, request_id: str, limit: int) -> list[Named]:
        """Return the files of the `limit` jobs whose ids follow `request_id`, in the order of ids."""
        named = select(jobs.c.request_id, jobs.c.status, jobs.c.media).where(jobs.c.request_id > request_id)
        page = named.order_by(jobs.c.request_id).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(page).all())
        return [Named(name, status, media_of(media)) for name, status, media in rows]

    async def ended_between(self, since: datetime, until: datetime, after: str, limit: int) -> list[Ended]:
        """Return at most `limit` of the jobs that ended between two times, both included, in the order of their ends.

        Those that ended at `since` itself begin behind the requestId `after`.
        """
        order = (jobs.c.completed_at, jobs.c.request_id)
        later = or_(jobs.c.completed_at > since, and_(jobs.c.completed_at == since, jobs.c.request_id > after))
        within = (jobs.c.completed_at >= since, jobs.c.completed_at <= until, later)
        page = select(jobs.c.request_id, jobs.c.status, jobs.c.version, jobs.c.completed_at).where(*within)
        rows = await self._database.read(
            lambda connection: connection.execute(page.order_by(*order).limit(limit)).all()
        )
        return [Ended(name, status_of(status, at), version, at) for name, status, version, at in rows if at is not None]

    async def count_ended(self, since: datetime, until: datetime) -> int:
        """Return how many jobs ended between two times, both included."""
        within = (jobs.c.completed_at >= since, jobs.c.completed_at <= until)
        count = select(func.count()).select_from(jobs).where(*within)
        return await self._database.read(lambda connection: int(connection.scalar(count) or 0))

    async def remove_ended(self, before: datetime, limit: int) -> int:
        """Delete at most `limit` of the jobs that ended before `before`; return how many (see `remove`)."""
        return await remove_ended_jobs(self._database, before, limit)

    async def remove_job(self, request_id: str) -> bool:
        """Delete an ended job and all that belongs to it; return False if there is none."""
        return await remove_job(self._database, request_id)

    async def forget_removed(self, limit: int) -> int:
        """Forget at most `limit` of the jobs that were removed days ago; return how many."""
        return await forget_removed(self._database, limit)

    async def shrink(self) -> bool:
        """Return unused space to the file system for `STEP_SECONDS`; return whether there is more."""
        return await self._database.shrink(STEP_SECONDS)

    async def load_keys(self, url: str) -> StoredKeys | None:
        """Return the last good JWKS fetched from `url`, if any."""
        stored = select(fal_keys).where(fal_keys.c.url == url)
        row = await self._database.read(lambda connection: connection.execute(stored).mappings().first())
        return None if row is None else StoredKeys(**row)

    async def save_keys(self, keys: StoredKeys) -> None:
        """Replace the stored JWKS of its URL."""
        values = {"document": keys.document, "fetched_at": keys.fetched_at}
        insert = self._database.upsert(fal_keys).values(url=keys.url, **values)
        replace = insert.on_conflict_do_update(index_elements=["url"], set_=values)
        await self._database.write(lambda connection: connection.execute(replace))

    async def _rows(self, selection: Select[Any] | None, *keys: ColumnElement[Any]) -> list[tuple[Any, ...]]:
        """Return these columns of the selected jobs."""
        if selection is None:
            return []
        narrow = selection.with_only_columns(*keys)
        return await self._database.read(lambda connection: [tuple(row) for row in connection.execute(narrow)])

    async def _read_feeds(self, asked: Sequence[Feed]) -> list[dict[str, int]]:
        feeds = list(dict.fromkeys(asked))
        queries = (self._versions(latest(self._database, feed)) for feed in feeds)
        found = dict(zip(feeds, await asyncio.gather(*queries), strict=True))
        return [found[feed] for feed in asked]

    async def _versions(self, selection: Select[Any] | None) -> dict[str, int]:
        rows = await self._rows(selection, jobs.c.request_id, jobs.c.version)
        return {request_id: version_of(request_id, version) for request_id, version in rows}

    async def _read_many(self, request_ids: Sequence[str]) -> list[Outline | None]:
        outlines = await self._database.look_up(self._outlines, list(set(request_ids)))
        found = {outline.job.request_id: outline for outline in outlines}
        return [found.get(request_id) for request_id in request_ids]
