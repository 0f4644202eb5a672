"""Tells the backend again of all jobs that ended since a time, after its outage: the durable work `retell`.

It makes a piece of work `tell` for each job, in steps: so many jobs at once, and no more while many are due.
Those that wait for their next attempt do not count: after an outage these are what is to be told now.
"""

import uuid
from collections.abc import Callable
from datetime import datetime

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from hookcast.consequences import Kind, Start, end_of, telling
from hookcast.eventtypes import EventType
from hookcast.logs import get_logger
from hookcast.store import JobStore, Piece
from hookcast.upkeep.worker import Done, Handler, Later, Outcome

STEP = 200  # jobs in a transaction
MOST_DUE = 2000  # events that are to be told now, before more are added
PAUSE_SECONDS = 1.0
MAX_SECONDS = 60.0

_log = get_logger(__name__)


class Retelling(Struct, omit_defaults=True):
    """The facts of `retell`: jobs that ended at these times, both included; `after` is the last one that was done."""

    since: datetime
    until: datetime
    after: str = ""


def retelling(since: datetime, until: datetime) -> Start:
    """Return the work of telling the backend again of the jobs that ended between two times."""
    facts = msgspec.json.encode(Retelling(since, until)).decode()
    return Start(f"{Kind.RETELL}:{uuid.uuid4().hex}", Kind.RETELL, "", facts=facts)


class Reteller:
    """Makes the work of telling again. `told` are the events that the backend wants, `wake` tells the worker."""

    def __init__(self, store: JobStore, told: frozenset[EventType], wake: Callable[[], None]) -> None:
        self._store = store
        self._told = told
        self._wake = wake

    def handlers(self) -> dict[str, Handler]:
        """Return the handler of the work `retell`."""
        return {Kind.RETELL: Handler(self.retell, 1, MAX_SECONDS)}

    async def retell(self, piece: Piece) -> Outcome:
        """Do one step."""
        facts = msgspec.json.decode(piece.facts, type=Retelling)
        if await self._store.work.due(Kind.TELL) > MOST_DUE:
            return Later(PAUSE_SECONDS)
        ended = await self._store.ended_between(facts.since, facts.until, facts.after, STEP)
        if not ended:
            _log.info("retold", since=facts.since.isoformat())
            return Done()
        events = [(job, end_of(job.status)) for job in ended]
        starts = [telling(job.request_id, kind, job.version, job.at) for job, kind in events if kind in self._told]
        if starts:
            await self._store.work.again(starts)
            self._wake()
        last = ended[-1]
        return Later(0.0, msgspec.json.encode(replace(facts, since=last.at, after=last.request_id)).decode())
