"""Tells the user's backend what happened to jobs: the durable work `tell`.

The job is read when it is told, so that an event that waited has the newest state. Events of one job are told in order:
one waits for those before it, unless they have failed `PATIENT_TRIES` times or come again only after `PATIENT_SECONDS`.
A backend that rejects one kind of event so delays the end of a job by minutes, not days. Progress that waits is dropped
for any newer event. Where only ends are told, a job has one event, and nothing is asked.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

import msgspec
from msgspec.structs import replace

from hookcast.consequences import Kind, Telling
from hookcast.eventtypes import ENDS, EventType
from hookcast.forward.events import event_body, message_id
from hookcast.forward.schedule import RETRIES, pause
from hookcast.forward.sending import Answer, Sender
from hookcast.forward.signing import signed_headers
from hookcast.jobs import Clock, Job
from hookcast.journal import Event, Notebook
from hookcast.logs import Throttle, get_logger
from hookcast.store import JobStore, Piece
from hookcast.store.work import Waiting
from hookcast.upkeep.worker import Done, Handler, Later, Outcome
from hookcast.wire import Show, rfc3339

MAX_AT_ONCE = 128  # on a node; the requests under way to a backend that hangs
MAX_LARGE = 4  # of those whose results are in memory meanwhile
LARGE_BYTES = 256 * 1024  # signed in a thread
MAX_SECONDS = 600.0  # of one attempt: large ones wait for each other
PATIENT_TRIES = 3
PATIENT_SECONDS = 600.0  # until the next attempt of an event that others wait for: it may have asked for more
MIN_TURN_SECONDS, MAX_TURN_SECONDS = 0.2, 30.0  # between two looks whether it is an event's turn
GIVEN_UP = "given_up"

_log = get_logger(__name__)


class Tally(Protocol):
    """Counts attempts."""

    def told(self, answer: str) -> None:
        """Count an attempt to tell the backend; `answer` is a Verdict, or GIVEN_UP."""


class Voice(NamedTuple):
    """How a backend is told: what shows a job, what sends, and the keys that sign."""

    show: Show
    sender: Sender
    keys: Sequence[bytes]

    async def tell(self, event: Telling, job: Job, now: datetime) -> Answer:
        """Send one event."""
        name = message_id(event.type, job.request_id, job.created_at, event.version)
        body = event_body(event.type, event.at, self.show(job))
        seconds = int(now.timestamp())

        def sign() -> dict[str, str]:
            return signed_headers(self.keys, message_id=name, timestamp=seconds, body=body)

        headers = sign() if len(body) < LARGE_BYTES else await asyncio.to_thread(sign)
        return await self.sender.post(body, {"Content-Type": "application/json", **headers})


class Teller:
    """Tells events to one backend. `told` are those that it wants; `luck` (0 to 1) is injected for tests."""

    def __init__(
        self,
        store: JobStore,
        voice: Voice,
        told: frozenset[EventType],
        *,
        clock: Clock,
        notebook: Notebook,
        tally: Tally,
        luck: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._voice = voice
        self._ordered = not told <= ENDS
        self._clock = clock
        self._notebook = notebook
        self._tally = tally
        self._luck = luck
        self._large = asyncio.Semaphore(MAX_LARGE)
        self._lines = Throttle()

    def handlers(self) -> dict[str, Handler]:
        """Return the handler of the work `tell`."""
        return {Kind.TELL: Handler(self.tell, MAX_AT_ONCE, MAX_SECONDS, yields=True)}

    async def tell(self, piece: Piece) -> Outcome:
        """Tell one event; it is Done when the backend has it, wants no more of it, or has failed too often."""
        event = msgspec.json.decode(piece.facts, type=Telling)
        if self._ordered:
            wait = await self._turn(piece, event)
            if wait is not None:
                return Done() if wait < 0 else Later(wait)
        outline = await self._store.outline(piece.request_id)
        if outline is None or _overtaken(event, outline.job):
            return Done()
        async with self._large if outline.left_out else nullcontext():
            job = await self._store.whole(piece.request_id) if outline.left_out else outline.job
            if job is None:
                return Done()
            began = time.monotonic()
            answer = await self._voice.tell(event, job, self._clock())
        return self._outcome(event, job, answer, time.monotonic() - began)

    async def _turn(self, piece: Piece, event: Telling) -> float | None:
        """Return how many seconds to wait for earlier events; negative: a newer one replaces this; None: neither."""
        others = [
            (other, msgspec.json.decode(other.facts, type=Telling))
            for other in await self._store.work.of_job(Kind.TELL, piece.request_id)
            if other.id != piece.id
        ]
        if event.type is EventType.PROGRESS and any(told.version > event.version for _, told in others):
            return -1.0
        earlier = [(other, told) for other, told in others if told.version < event.version]
        if replaced := [other.id for other, told in earlier if told.type is EventType.PROGRESS and not other.claimed]:
            await self._store.work.drop(replaced)
        return max((_look_again(other) for other, told in earlier if _counts(other, told)), default=None)

    def _outcome(self, event: Telling, job: Job, answer: Answer, seconds: float) -> Outcome:
        self._tally.told(answer.verdict)
        tries = event.tries + 1
        wait = None if answer.final else pause(tries, RETRIES, answer.after, self._luck())
        self._note(event, job, answer, seconds, wait)
        if answer.final:
            return Done()
        about = {"request_id": job.request_id, "type": event.type.value, "attempt": tries, "reason": str(answer)}
        if wait is None:
            self._tally.told(GIVEN_UP)
            self._notebook.note(job.request_id, Event.GIVEN_UP, type=event.type.value, attempts=tries)
            _log.error("event_given_up", **about)
            return Done()
        self._lines.warning("event_not_told", **about, retry_in=round(wait))
        return Later(wait, msgspec.json.encode(replace(event, tries=tries)).decode())

    def _note(self, event: Telling, job: Job, answer: Answer, seconds: float, wait: float | None) -> None:
        self._notebook.note(
            job.request_id,
            Event.TOLD,
            type=event.type.value,
            attempt=event.tries + 1,
            ok=answer.final,
            status=answer.status,
            error=answer.reason,
            ms=round(seconds * 1000),
            next=None if wait is None else rfc3339(self._clock() + timedelta(seconds=wait)),
        )


def _overtaken(event: Telling, job: Job) -> bool:
    """Return whether the event is progress of a job that has ended since: its end says all."""
    return event.type is EventType.PROGRESS and job.status.terminal


def _counts(earlier: Waiting, told: Telling) -> bool:
    """Return whether an event waits for this earlier one: not for progress that it replaces, nor for a long time."""
    if earlier.claimed:
        return told.tries < PATIENT_TRIES
    patient = told.tries < PATIENT_TRIES and earlier.seconds < PATIENT_SECONDS
    return patient and told.type is not EventType.PROGRESS


def _look_again(earlier: Waiting) -> float:
    """Return the seconds until an earlier event may have been told."""
    due = 0.0 if earlier.claimed else earlier.seconds
    return min(max(due, 0.0) + MIN_TURN_SECONDS, MAX_TURN_SECONDS)
