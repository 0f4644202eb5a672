"""Read-modify-write of jobs with optimistic concurrency, in batches.

Each write is conditional on the version that was read, in one statement for the whole batch. When two nodes change a
job concurrently, one of them writes nothing, reads again and reapplies its step. A crash leaves no locks behind, and a
pooler in transaction mode may sit in between.

Where a transaction costs round trips to the server, one statement writes the jobs of a batch, their lines of the
journal and their work. A change that settles a submit, or may be of a removed job, is left to a transaction.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

from msgspec import Struct
from sqlalchemy import Connection, select

from hookcast.consequences import NOTHING, Consequences
from hookcast.errors import NotStorable, StoreUnavailable, Trouble
from hookcast.jobs import Job, unseen
from hookcast.journal import Line
from hookcast.store import work
from hookcast.store.base import Database, WriteTables
from hookcast.store.journal import Journal
from hookcast.store.removal import removed_among
from hookcast.store.rows import from_row, storable, to_row
from hookcast.store.schema import jobs
from hookcast.store.submits import Intent, named, settle
from hookcast.store.upserts import COUNTED_LINES, ENDS, JOBS, LINES, STARTS, UPSERT, UPSERT_WITH_EFFECTS
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

    Unless it `revives`, it does not make a job that was removed. `size` is what it writes, in bytes, if that is much.
    """

    request_id: str
    step: Callable[[Job | None], Job]
    joining: Joining | None = None
    causes: Causes = no_effects
    revives: bool = True
    size: int = 0

    def stands_alone(self, before: Job | None) -> bool:
        """Return whether the change depends on the job alone: not on its submit, nor on whether it was removed."""
        if before is None:
            return self.revives and self.joining is None
        return self.joining is None or before.response_url is not None

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


Answers = Mapping[int, Change | Exception]
"""The answers of asks, by their number."""


class Changes:
    """Applies changes in batches (see `Batch`)."""

    def __init__(self, database: Database, journal: Journal) -> None:
        self._database = database
        self._journal = journal
        self._by_ids = select(jobs).where(database.among(jobs.c.request_id))

    async def work(self, asks: Sequence[Ask]) -> list[Change | Exception]:
        """Apply all changes: in one statement where that saves round trips, and the rest in one transaction."""
        answers = await self._at_once(asks)
        others = [number for number in range(len(asks)) if number not in answers]
        if others:
            found = await self._together([asks[number] for number in others])
            answers = {**answers, **dict(zip(others, found, strict=True))}
        return [answers[number] for number in range(len(asks))]

    async def _at_once(self, asks: Sequence[Ask]) -> Answers:
        try:
            return await self._database.at_once(partial(self._in_one_statement, asks)) or {}
        except StoreUnavailable as error:
            if error.trouble is not Trouble.VALUE:
                raise
            return {}  # nothing was written; a transaction for each finds out which one it is

    async def _together(self, asks: Sequence[Ask]) -> list[Change | Exception]:
        """Apply these changes in one transaction; if the values of one cannot be stored, apply each in its own."""
        try:
            return await self._database.write(lambda connection: self._rounds(connection, asks))
        except StoreUnavailable as error:
            if error.trouble is not Trouble.VALUE:
                return [error] * len(asks)
            if len(asks) == 1:
                return [NotStorable(str(error))]
        return [answer for ask in asks for answer in await self._together([ask])]

    def _in_one_statement(self, asks: Sequence[Ask], connection: Connection, write: WriteTables) -> Answers:
        """Apply the first change of each job in one statement.

        Leave out those that need more than their job, and those that lost a race.
        """
        firsts = _firsts(dict(enumerate(asks)))
        found = self._found(connection, firsts)
        answers = {
            number: asks[number].take(found.get(name), None)
            for name, number in firsts.items()
            if asks[number].stands_alone(found.get(name))
        }
        rows = self._rows([change for change in answers.values() if isinstance(change, Change)])
        written = write(UPSERT_WITH_EFFECTS, rows) if any(rows.values()) else ()
        return _without_lost(answers, set(written))

    def _rows(self, changes: Sequence[Change]) -> dict[str, list[Any]]:
        """Return the rows of `UPSERT_WITH_EFFECTS` that these changes write."""
        rows: dict[str, list[Any]] = {JOBS: _rows_of_jobs(changes), LINES: [], COUNTED_LINES: [], STARTS: [], ENDS: []}
        for change in changes:
            of = change.after.request_id if change.changed else None
            lines, counted = self._journal.rows(change.lines)
            rows[LINES] += ((of, *line) for line in lines)
            rows[COUNTED_LINES] += ((of, *line) for line in counted)
            rows[STARTS] += ((of, *work.values(start)) for start in change.caused.starts)
            rows[ENDS] += ((of, name) for name in change.caused.ends)
        rows[STARTS].sort(key=itemgetter(1))  # no deadlocks
        return {table: its for table, its in rows.items() if its or table == JOBS}

    def _rounds(self, connection: Connection, asks: Sequence[Ask]) -> list[Change | Exception]:
        answers: dict[int, Change | Exception] = {}
        for _ in range(MAX_TRIES + len(asks)):
            todo = {number: ask for number, ask in enumerate(asks) if number not in answers}
            if not todo:
                break
            answers |= self._round(connection, todo)
        lost = StoreUnavailable("The job has too many concurrent changes.")
        return [answers.get(number, lost) for number in range(len(asks))]

    def _round(self, connection: Connection, todo: dict[int, Ask]) -> Answers:
        """Apply the first change of each job; leave those that lost a race out of the answers."""
        firsts = _firsts(todo)
        found = self._found(connection, firsts)
        removed = self._removed(connection, [todo[number] for name, number in firsts.items() if name not in found])
        live = {number: todo[number] for name, number in firsts.items() if name not in removed}
        intents = self._intents(connection, live, found)
        answers = {
            number: todo[number].take(found.get(name), intents.get(number), removed=name in removed)
            for name, number in firsts.items()
        }
        applied = [change for change in answers.values() if isinstance(change, Change)]
        done = _without_lost(answers, self._write(connection, applied))
        changes = [change for change in done.values() if isinstance(change, Change)]
        work.write(self._database, connection, [change.caused for change in changes])
        self._journal.write(connection, [line for change in changes for line in change.lines])
        made = {number: intent for number, intent in intents.items() if isinstance(done.get(number), Change)}
        settle(connection, [(intent, todo[number].request_id) for number, intent in made.items()])
        return done

    def _found(self, connection: Connection, names: Iterable[str]) -> dict[str, Job]:
        rows = connection.execute(self._by_ids, {"ids": list(names)}).mappings()
        return {row["request_id"]: from_row(row) for row in rows}

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

    def _write(self, connection: Connection, changes: Sequence[Change]) -> set[str]:
        """Write new versions; return the request IDs of those that did not lose a race."""
        rows = _rows_of_jobs(changes)
        if not rows:
            return set()
        written = self._database.for_each(connection, UPSERT, rows)
        return {row[0] for row in rows} if self._database.one_writer else set(written)


def _rows_of_jobs(changes: Iterable[Change]) -> list[list[Any]]:
    """Return the rows of the jobs that have changed, each beginning with its requestId; ordered: no deadlocks."""
    changed = sorted((change.after for change in changes if change.changed), key=lambda job: job.request_id)
    return [[row[name] for name in UPSERT.columns] for row in map(to_row, changed)]


def _firsts(asks: Mapping[int, Ask]) -> dict[str, int]:
    """Return the number of each job's first ask."""
    firsts: dict[str, int] = {}
    for number, ask in asks.items():
        firsts.setdefault(ask.request_id, number)
    return firsts


def _without_lost(answers: Answers, written: set[str]) -> Answers:
    """Return the answers without those whose job another node has changed meanwhile."""
    return {
        number: answer
        for number, answer in answers.items()
        if not isinstance(answer, Change) or not answer.changed or answer.after.request_id in written
    }
