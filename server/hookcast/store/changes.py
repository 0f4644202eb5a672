"""Changes of jobs: read, step, written, for all that are asked for at the same time in one transaction.

Each write names the version it stands on (optimistic concurrency, one statement for a whole batch): of two nodes that
change a job at the same time one writes nothing, reads again and takes its step from there. No locks are held that a
crash could leave behind, and a pooler in transaction mode may stand between.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from msgspec import Struct
from sqlalchemy import Connection, Executable, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY, Insert

from hookcast.errors import StoreUnavailable
from hookcast.jobs import Job
from hookcast.store.base import VALUE_ERRORS, Database
from hookcast.store.schema import from_row, jobs, to_row

MAX_TRIES = 20


class Change(Struct, frozen=True):
    """The job before and after one change; `before` is None when the change created it."""

    before: Job | None
    after: Job

    @property
    def changed(self) -> bool:
        """Whether there is a new version."""
        return self.before is None or self.before.version != self.after.version

    @property
    def ended(self) -> bool:
        """Whether the job became terminal by it."""
        return self.after.status.terminal and not (self.before is not None and self.before.status.terminal)


class Ask(NamedTuple):
    """What becomes of one job: `step` is pure, and may be called more than once."""

    request_id: str
    step: Callable[[Job | None], Job]


class Changes:
    """Works off asks (see `Batch`)."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._by_ids = select(jobs).where(database.among(jobs.c.request_id))
        self._upsert: Executable = _upsert_rows(database) if database.one_writer else _upsert_arrays(database)

    async def work(self, asks: Sequence[Ask]) -> list[Change | Exception]:
        """All of them in one transaction; when the values of one cannot be stored, each in its own."""
        try:
            return await self._together(asks)
        except StoreUnavailable as error:
            if len(asks) == 1 or not _of_the_values(error):
                raise
        answers: list[Change | Exception] = []
        for ask in asks:
            try:
                answers += await self._together([ask])
            except StoreUnavailable as error:
                answers.append(error)
        return answers

    async def _together(self, asks: Sequence[Ask]) -> list[Change | Exception]:
        return await self._database.write(lambda connection: self._rounds(connection, asks))

    def _rounds(self, connection: Connection, asks: Sequence[Ask]) -> list[Change | Exception]:
        answers: dict[int, Change | Exception] = {}
        for _ in range(MAX_TRIES + len(asks)):
            todo = {number: ask for number, ask in enumerate(asks) if number not in answers}
            if not todo:
                break
            answers |= self._round(connection, todo)
        lost = StoreUnavailable("The job is changed by too many at once.")
        return [answers.get(number, lost) for number in range(len(asks))]

    def _round(self, connection: Connection, todo: dict[int, Ask]) -> dict[int, Change | Exception]:
        """The first ask of each job. What lost a race is not among the answers."""
        firsts: dict[str, int] = {}
        for number, ask in todo.items():
            firsts.setdefault(ask.request_id, number)
        rows = connection.execute(self._by_ids, {"ids": list(firsts)}).mappings()
        found = {row["request_id"]: from_row(row) for row in rows}
        answers: dict[int, Change | Exception] = {}
        for request_id, number in firsts.items():
            before = found.get(request_id)
            try:
                answers[number] = Change(before=before, after=todo[number].step(before))
            except Exception as error:  # noqa: BLE001 - it belongs to this ask alone
                answers[number] = error
        changed = [change for change in answers.values() if isinstance(change, Change) and change.changed]
        written = self._write(connection, [change.after for change in changed])
        return {
            number: answer
            for number, answer in answers.items()
            if not isinstance(answer, Change) or not answer.changed or answer.after.request_id in written
        }

    def _write(self, connection: Connection, changed: list[Job]) -> set[str]:
        """Write new versions; answers the names of those that did not lose a race."""
        if not changed:
            return set()
        rows = [to_row(job) for job in sorted(changed, key=lambda job: job.request_id)]  # one order, so no deadlocks
        if self._database.one_writer:
            connection.execute(self._upsert, rows)
            return {job.request_id for job in changed}
        arrays = {name: [row[name] for row in rows] for name in rows[0]}
        return set(connection.execute(self._upsert, arrays).scalars())


def _upsert_rows(database: Database) -> Insert:
    """To be executed with a list of rows."""
    return _newer(database.upsert(jobs).values(changed_at=database.clock))


def _upsert_arrays(database: Database) -> Executable:
    """To be executed with an array for each column: the same words, and one round trip, for any number of rows."""
    columns = [column for column in jobs.columns if column.name != "changed_at"]
    arrays = [bindparam(column.name, type_=ARRAY(column.type)) for column in columns]
    given = func.unnest(*arrays).table_valued(*(column.name for column in columns)).render_derived()
    rows = select(*given.columns, database.clock)
    return _newer(database.upsert(jobs).from_select([*given.columns.keys(), "changed_at"], rows)).returning(
        jobs.c.request_id
    )


def _newer(insert: Insert) -> Insert:
    columns = {column.name: insert.excluded[column.name] for column in jobs.columns if not column.primary_key}
    return insert.on_conflict_do_update(
        index_elements=["request_id"], set_=columns, where=jobs.c.version == insert.excluded.version - 1
    )


def _of_the_values(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, VALUE_ERRORS):
        error = error.__cause__
    return error is not None
