"""Submits: requests to fal, stored before they are sent, so that neither a crash nor a retry loses or repeats one.

A submit is *under way* until fal's answer or webhook names the job, or fal is known not to have accepted it. After its
`until` its outcome is *unknown*. Times are the nodes' own, which agree within a few seconds.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, RowMapping, bindparam, delete, exists, select, update

from hookcast.jobs import Job, Registered
from hookcast.store import inputs
from hookcast.store.base import Database
from hookcast.store.inputs import KeptInput
from hookcast.store.removal import remove
from hookcast.store.rows import from_row, labels_of, labels_text
from hookcast.store.schema import jobs, submits

MAX_TRIES = 5


class Intent(Struct, frozen=True, kw_only=True):
    """A request about to be sent to fal. `id` is secret: the job of the webhook that names it gets `facts`.

    `digest` identifies the body that came with `key`, `caller` its sender. `shared`: the key is the server's
    own, and has the same job for all bodies and callers. `input` is what `begin` keeps of it, None = nothing; an intent
    that is read has `input_kept` instead.
    """

    id: str
    facts: Registered
    asked_at: datetime
    until: datetime
    key: str | None = None
    caller: str | None = None
    digest: str | None = None
    shared: bool = False
    input: KeptInput | None = None
    input_kept: bool | None = None


class Standing(Enum):
    """The state of an earlier submit with the same idempotency key."""

    UNDER_WAY = "under way"
    IN_THE_DARK = "outcome unknown"
    OF_ANOTHER = "of another body or caller"


class Submits:
    """The submits in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, intent: Intent, *, again: bool) -> Job | Standing | None:
        """Store the intent and return None: fal may be asked. If its key is in use, return the key's job or standing.

        `again` takes the key over from a submit with an unknown outcome, whose webhook still finds its intent. A key
        whose job was removed is free.
        """
        return await self._database.write(lambda connection: self._begin(connection, intent, again=again))

    async def darken(self, intent_id: str, now: datetime) -> None:
        """Note that the submit has ended without an answer: its key waits for the webhook."""
        ends = update(submits).where(_is(intent_id)).values(until=now)
        await self._database.write(lambda connection: connection.execute(ends))

    async def release(self, intent_ids: Sequence[str]) -> None:
        """Delete submits that fal did not accept; their keys are free. Those that have a job stay."""
        gone = delete(submits).where(submits.c.id.in_(intent_ids), submits.c.request_id.is_(None))

        def write(connection: Connection) -> None:
            self._forget_inputs(connection, intent_ids)
            connection.execute(gone)

        await self._database.write(write)

    async def forget(self, before: datetime, limit: int) -> int:
        """Delete at most `limit` submits older than `before` without a job; return how many (see `remove`)."""
        has_job = exists().where(jobs.c.request_id == submits.c.request_id)
        due = select(submits.c.id).where(submits.c.asked_at < before, ~has_job)
        return await remove(self._database, due, limit, before=self._forget_inputs)

    def _forget_inputs(self, connection: Connection, intent_ids: Sequence[str]) -> None:
        inputs.forget_of_submits(connection, self._database.among, intent_ids)

    def _begin(self, connection: Connection, intent: Intent, *, again: bool) -> Job | Standing | None:
        insert = self._database.upsert(submits).values(**_to_row(intent))
        free = insert.on_conflict_do_nothing(index_elements=["key"]).returning(submits.c.id)
        for _ in range(MAX_TRIES):
            if connection.execute(free).first() is not None:
                if intent.input is not None:
                    inputs.keep(connection, intent.id, intent.input)
                return None
            found = select(submits).where(submits.c.key == intent.key).with_for_update()
            row = connection.execute(found).mappings().first()
            if row is not None and (answer := _standing(connection, row, intent, again=again)) is not None:
                return answer
        return Standing.UNDER_WAY  # the key changes hands all the time


def named(database: Database, connection: Connection, ids: Sequence[str]) -> dict[str, Intent]:
    """Return those of the submits that have no job yet, by id, and lock them until the transaction ends."""
    unsettled = select(submits).where(database.among(submits.c.id), submits.c.request_id.is_(None)).with_for_update()
    rows = connection.execute(unsettled, {"ids": list(ids)}).mappings()
    return {row["id"]: _from_row(row) for row in rows}


def settle(connection: Connection, made: Sequence[tuple[Intent, str]]) -> None:
    """Bind each submit's key and input to the job it made. The job has the facts now; one without a key is deleted."""
    if not made:
        return
    inputs.bind(connection, [(intent.id, request_id) for intent, request_id in made if intent.input_kept])
    bind = update(submits).where(submits.c.id == bindparam("intent_id"))
    for intent, request_id in made:
        if intent.key is None:
            connection.execute(delete(submits).where(_is(intent.id)))
        else:
            values = {"intent_id": intent.id, "request_id": request_id, "owner": None, "group_name": None}
            connection.execute(bind, {**values, "metadata": "{}"})


def _standing(connection: Connection, row: RowMapping, intent: Intent, *, again: bool) -> Job | Standing | None:
    """Return the job or standing of a key in use; None when it has been freed."""
    settled = row["request_id"] is not None
    job = _job(connection, row["request_id"]) if settled else None
    if settled and job is None:
        connection.execute(delete(submits).where(_is(row["id"])))
        return None
    mine = row["digest"] in {None, intent.digest} and row["caller"] in {None, intent.caller}
    if not mine and not intent.shared:
        return Standing.OF_ANOTHER
    if job is not None:
        return job
    if row["until"] > intent.asked_at:
        return Standing.UNDER_WAY
    if not again:
        return Standing.IN_THE_DARK
    connection.execute(update(submits).where(_is(row["id"])).values(key=None))
    return None


def _job(connection: Connection, request_id: str) -> Job | None:
    row = connection.execute(select(jobs).where(jobs.c.request_id == request_id)).mappings().first()
    return None if row is None else from_row(row)


def _is(intent_id: str) -> ColumnElement[bool]:
    return submits.c.id == intent_id


def _to_row(intent: Intent) -> dict[str, Any]:
    facts = intent.facts
    return {
        "id": intent.id,
        "key": intent.key,
        "caller": intent.caller,
        "digest": intent.digest,
        "endpoint_id": facts.endpoint_id,
        "owner": facts.owner,
        "group_name": facts.group,
        "metadata": labels_text(facts.metadata),
        "keep": facts.keep,
        "retry_of": facts.retry_of,
        "input_kept": intent.input is not None,
        "asked_at": intent.asked_at,
        "until": intent.until,
    }


def _from_row(row: RowMapping) -> Intent:
    facts = Registered(
        endpoint_id=row["endpoint_id"],
        owner=row["owner"],
        group=row["group_name"],
        metadata=labels_of(row["metadata"]),
        keep=row["keep"],
        retry_of=row["retry_of"],
    )
    names = ("id", "key", "caller", "digest", "asked_at", "until", "input_kept")
    return Intent(facts=facts, **{name: row[name] for name in names})
