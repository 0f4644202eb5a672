"""Read-modify-write of jobs with optimistic concurrency, one transaction per batch.

Each write is conditional on the version that was read, in one statement for the whole batch. When two nodes change a
job concurrently, one of them writes nothing, reads again and reapplies its step. A crash leaves no locks behind, and a
pooler in transaction mode may sit in between.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Integer, UpdateBase, and_, cast, not_, or_, select, true
from sqlalchemy.dialects.postgresql import Insert

from hookcast.consequences import NOTHING, Consequences
from hookcast.errors import NotStorable, StoreUnavailable, Trouble
from hookcast.jobs import Job, unseen
from hookcast.journal import Line
from hookcast.store import work
from hookcast.store.base import Database, ForEach, Given
from hookcast.store.journal import Journal
from hookcast.store.removal import removed_among
from hookcast.store.rows import MAX_VERSION, from_row, storable, to_row
from hookcast.store.schema import jobs
from hookcast.store.submits import Intent, named, settle
from hookcast.wire import State

MAX_TRIES = 20
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Change(Struct, frozen=True):
    """A job before and after one change; `before` is None when the change created it.

    `caused` is the durable work that was committed with it, `lines` those of the journal, `state` the new state once it
    was published.
    """

    before: Job | None
    after: Job
    caused: Consequences = NOTHING
    lines: tuple[Line, ...] = ()
    state: State | None = None

    @property
    def changed(self) -> bool:
        """True when the change made a new version: not when an unknown job stays unknown."""
        return self.after.version != (0 if self.before is None else self.before.version)

    @property
    def ended(self) -> bool:
        """True when the change made the job terminal."""
        return self.after.status.terminal and not (self.before is not None and self.before.status.terminal)


class Joining(NamedTuple):
    """The submit that a change belongs to, and the step to apply instead if it has no job yet; `step` is pure, too."""

    intent_id: str
    step: Callable[[Job | None, Intent], Job]


class Effects(NamedTuple):
    """What is committed together with a change: durable work, and lines of the journal."""

    work: Consequences = NOTHING
    lines: tuple[Line, ...] = ()


Causes = Callable[[Job | None, Job, Intent | None], Effects]
"""Returns the effects of a change from the job before and after it, and the submit that it settles; pure."""


def no_effects(_before: Job | None, _after: Job, _intent: Intent | None) -> Effects:
    """Return no effects, whatever the change."""
    return Effects()


class Ask(NamedTuple):
    """One change to make: `step` and `causes` are pure, and may be called more than once.

    Unless it `revives`, it does not make a job that was removed.
    """

    request_id: str
    step: Callable[[Job | None], Job]
    joining: Joining | None = None
    causes: Causes = no_effects
    revives: bool = True

    def take(self, before: Job | None, intent: Intent | None, *, removed: bool = False) -> Change | Exception:
        """Return the change, or the exception of the step: the answer of this ask alone."""
        if removed:
            return Change(None, unseen(self.request_id, now=_LONG_AGO))
        try:
            if self.joining is None or intent is None:
                after = storable(self.step(before))
            else:
                after = storable(self.joining.step(before, intent))
            effects = self.causes(before, after, intent)
            return Change(before, after, effects.work, effects.lines)
        except Exception as error:  # noqa: BLE001 - raised to the caller of this ask
            return error


class Changes:
    """Applies changes in batches (see `Batch`)."""

    def __init__(self, database: Database, journal: Journal) -> None:
        self._database = database
        self._journal = journal
        self._by_ids = select(jobs).where(database.among(jobs.c.request_id))

    async def work(self, asks: Sequence[Ask]) -> list[Change | Exception]:
        """Apply all changes in one transaction; if the values of one cannot be stored, apply each in its own."""
        try:
            return await self._together(asks)
        except StoreUnavailable as error:
            if error.trouble is not Trouble.VALUE:
                raise
            if len(asks) == 1:
                return [NotStorable(str(error))]
        return [await self._alone(ask) for ask in asks]

    async def _alone(self, ask: Ask) -> Change | Exception:
        try:
            [answer] = await self.work([ask])
        except StoreUnavailable as error:
            return error
        return answer

    async def _together(self, asks: Sequence[Ask]) -> list[Change | Exception]:
        return await self._database.write(lambda connection: self._rounds(connection, asks))

    def _rounds(self, connection: Connection, asks: Sequence[Ask]) -> list[Change | Exception]:
        answers: dict[int, Change | Exception] = {}
        for _ in range(MAX_TRIES + len(asks)):
            todo = {number: ask for number, ask in enumerate(asks) if number not in answers}
            if not todo:
                break
            answers |= self._round(connection, todo)
        lost = StoreUnavailable("The job has too many concurrent changes.")
        return [answers.get(number, lost) for number in range(len(asks))]

    def _round(self, connection: Connection, todo: dict[int, Ask]) -> dict[int, Change | Exception]:
        """Apply the first change of each job; leave those that lost a race out of the answers."""
        firsts: dict[str, int] = {}
        for number, ask in todo.items():
            firsts.setdefault(ask.request_id, number)
        rows = connection.execute(self._by_ids, {"ids": list(firsts)}).mappings()
        found = {row["request_id"]: from_row(row) for row in rows}
        removed = self._removed(connection, [todo[number] for name, number in firsts.items() if name not in found])
        live = {number: todo[number] for name, number in firsts.items() if name not in removed}
        intents = self._intents(connection, live, found)
        answers = {
            number: todo[number].take(found.get(name), intents.get(number), removed=name in removed)
            for name, number in firsts.items()
        }
        changed = [change for change in answers.values() if isinstance(change, Change) and change.changed]
        written = self._write(connection, [change.after for change in changed])
        done = {
            number: answer
            for number, answer in answers.items()
            if not isinstance(answer, Change) or not answer.changed or answer.after.request_id in written
        }
        changes = [change for change in done.values() if isinstance(change, Change)]
        work.write(self._database, connection, [change.caused for change in changes])
        self._journal.write(connection, [line for change in changes for line in change.lines])
        made = {number: intent for number, intent in intents.items() if isinstance(done.get(number), Change)}
        settle(connection, [(intent, todo[number].request_id) for number, intent in made.items()])
        return done

    def _removed(self, connection: Connection, unknown: Sequence[Ask]) -> set[str]:
        """Return those of the unknown jobs that were removed, and that their changes do not make again."""
        names = [ask.request_id for ask in unknown if not ask.revives]
        return removed_among(connection, self._database.among, names) if names else set()

    def _intents(self, connection: Connection, asks: Mapping[int, Ask], found: Mapping[str, Job]) -> dict[int, Intent]:
        """Return the submits that the asks join, each by one of them: those that have no job yet.

        None is looked for once fal's answer is stored.
        """
        wanted = {
            number: ask.joining.intent_id
            for number, ask in asks.items()
            if ask.joining is not None and ((job := found.get(ask.request_id)) is None or job.response_url is None)
        }
        free = named(self._database, connection, list(wanted.values())) if wanted else {}
        return {number: free.pop(name) for number, name in wanted.items() if name in free}

    def _write(self, connection: Connection, changed: list[Job]) -> set[str]:
        """Write new versions; return the request IDs of those that did not lose a race."""
        if not changed:
            return set()
        rows = [to_row(job) for job in sorted(changed, key=lambda job: job.request_id)]  # ordered: no deadlocks
        given = [[row[name] for name in _UPSERT.columns] for row in rows]
        written = self._database.for_each(connection, _UPSERT, given)
        return {job.request_id for job in changed} if self._database.one_writer else set(written)


def _upsert(database: Database, given: Given) -> UpdateBase:
    """Return an upsert of jobs' rows. It writes newer versions, and returns the request IDs of these."""
    rows = select(*given.values(), database.clock).where(true())  # SQLite wants a WHERE before ON CONFLICT
    upsert = _newer(database.upsert(jobs).from_select([*given, "changed_at"], rows))
    return upsert if database.one_writer else upsert.returning(jobs.c.request_id)


def _newer(insert: Insert) -> Insert:
    columns = {column.name: insert.excluded[column.name] for column in jobs.columns if not column.primary_key}
    follows = jobs.c.version == insert.excluded.version - 1
    begins = and_(insert.excluded.version == 1, _broken(jobs.c.version))
    return insert.on_conflict_do_update(index_elements=["request_id"], set_=columns, where=or_(follows, begins))


def _broken(version: ColumnElement[int]) -> ColumnElement[bool]:
    """Return whether `rows.version_of` reads it as 0."""
    return or_(not_(version.between(1, MAX_VERSION)), version != cast(version, Integer))


_UPSERT = ForEach({column.name: column.type for column in jobs.columns if column.name != "changed_at"}, _upsert)
