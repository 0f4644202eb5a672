"""The lines of the journal, and how many of each kind a job has at most; pure."""

from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from hookcast.eventtypes import EventType

MAX_TEXT = 300
"""Characters of a text in a line."""


class Event(StrEnum):
    """What a line tells. docs/journal.md says when each is written, and which facts it has."""

    SUBMITTED = "submitted"
    REPEATED = "submit_repeated"
    ACCEPTED = "accepted_by_fal"
    REGISTERED = "registered"
    FOLLOWED = "followed"
    RUNNING = "running"
    SAVING = "saving"
    WEBHOOK = "webhook"
    REFUSED = "webhook_refused"
    ASKED = "asked"
    FETCHED = "result_asked"
    CANCEL_ASKED = "cancel_asked"
    CANCEL_REFUSED = "cancel_refused"
    CANCELLING = "cancelling"
    FILE_KEPT = "file_kept"
    FILE_LEFT = "file_left"
    ENDED = "ended"
    WATCHED = "watched"
    WATCH_REFUSED = "watch_refused"
    WATCH_CLOSED = "watch_closed"
    PUSHED = "pushed"
    TOLD = "told"
    GIVEN_UP = "telling_given_up"
    REDELIVERY = "redelivery_asked"
    RETRIED = "retried"


ROOM = 50
"""Lines of one event that a job has at most: later ones are left out."""


_FEW = frozenset({Event.SUBMITTED, Event.ACCEPTED, Event.ENDED})
_NAMES = {"ended_by": "endedBy", "queue_position": "queuePosition", "idempotency_key": "idempotencyKey"}


class Line(NamedTuple):
    """One line of a job's journal. `facts` are JSON values by name; times are the node's own."""

    request_id: str
    event: Event
    at: datetime
    facts: dict[str, Any]

    @property
    def repeats(self) -> bool:
        """False for what happens to a job a few times at most, so that its lines need not be counted."""
        return self.event not in _FEW and self.facts.get("answer") != "accepted"

    @property
    def of_another_job(self) -> bool:
        """True for what a change of one job tells of another, which may have been removed."""
        return self.event is Event.RETRIED

    @property
    def room(self) -> int:
        """How many lines of its event the job has at most: those of progress leave room for those of the end."""
        return ROOM // 2 if self.facts.get("type") == EventType.PROGRESS else ROOM


def line(request_id: str, event: Event, at: datetime, **facts: Any) -> Line:
    """Return a line with the facts that are neither None nor empty, named as in JSON, texts cut to `MAX_TEXT`."""
    kept = {_NAMES.get(name, name): _cut(value) for name, value in facts.items() if value is not None and value != ""}
    return Line(request_id, event, at, kept)


def _cut(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = value if value.isascii() else value.encode(errors="replace").decode()  # lone surrogates are no UTF-8
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"
