"""The inputs of submits, kept so that they can be submitted again: where HOOKCAST_KEEP_INPUTS is set.

An input is stored with the intent of its submit, before fal is asked, and bound to the job in the transaction that
makes the job. It goes with the job, or with a submit that has none.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from hookcast.store.base import Database
from hookcast.store.schema import inputs


class KeptInput(Struct, frozen=True, kw_only=True):
    """What a submit sent to fal: the model's own input, byte for byte, and fal's request headers."""

    input: Raw
    headers: Mapping[str, str]


class Inputs:
    """The kept inputs in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_job(self, request_id: str) -> KeptInput | None:
        """Return the input of a job, or None if it was not kept. Raises StoreUnavailable."""
        found = select(inputs.c.input, inputs.c.headers).where(inputs.c.request_id == request_id).limit(1)
        row = await self._database.read(lambda connection: connection.execute(found).first())
        if row is None:
            return None
        return KeptInput(input=Raw(row[0].encode()), headers=msgspec.json.decode(row[1], type=dict[str, str]))


def keep(connection: Connection, submit_id: str, kept: KeptInput) -> None:
    """Store the input of a submit, in the transaction that stores the submit."""
    values = {
        "id": submit_id,
        "input": bytes(kept.input).decode(),
        "headers": msgspec.json.encode(kept.headers).decode(),
    }
    connection.execute(insert(inputs).values(values))


def bind(connection: Connection, made: Sequence[tuple[str, str]]) -> None:
    """Bind the inputs of submits to the jobs that these made: pairs of their ids."""
    if made:
        to_job = update(inputs).where(inputs.c.id == bindparam("submit_id")).values(request_id=bindparam("job_id"))
        connection.execute(to_job, [{"submit_id": submit_id, "job_id": job_id} for submit_id, job_id in made])


def forget_of_jobs(connection: Connection, among: Callable[[Any], Any], request_ids: Iterable[str]) -> None:
    """Delete the inputs of jobs that are removed in the same transaction."""
    connection.execute(delete(inputs).where(among(inputs.c.request_id)), {"ids": list(request_ids)})


def forget_of_submits(connection: Connection, among: Callable[[Any], Any], submit_ids: Iterable[str]) -> None:
    """Delete the inputs of submits that are removed in the same transaction, unless they have a job by now."""
    jobless = (among(inputs.c.id), inputs.c.request_id.is_(None))
    connection.execute(delete(inputs).where(*jobless), {"ids": list(submit_ids)})
