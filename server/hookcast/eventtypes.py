"""The types of the events that the user's backend is told, and the setting that names those it wants; pure."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator

from hookcast.urls import listed


class EventType(StrEnum):
    """What happened to a job. The first three are its end: one job has one of them, once."""

    COMPLETED = "job.completed"
    FAILED = "job.failed"
    CANCELLED = "job.cancelled"
    STARTED = "job.started"  # fal was first seen to work on it
    PROGRESS = "job.progress"  # a pending job changed in what clients see


ENDS = frozenset({EventType.COMPLETED, EventType.FAILED, EventType.CANCELLED})
BY_DEFAULT = ",".join(kind for kind in EventType if kind in ENDS)


def event_types(text: str) -> frozenset[EventType]:
    """Return the types in a comma-separated list. Raises ValueError for an empty one, or a name that is none."""
    names = listed(text)
    if not names or not set(names) <= set(EventType):
        raise ValueError(f"must be some of {', '.join(EventType)}, separated by commas")
    return frozenset(map(EventType, names))


def _checked(text: str) -> str:
    event_types(text)
    return text


EventNames = Annotated[str, AfterValidator(_checked)]
