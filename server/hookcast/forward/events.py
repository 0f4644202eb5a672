"""The events that a backend is told: their ids and bodies; pure."""

import base64
import hashlib
from datetime import datetime

from msgspec import json

from hookcast.eventtypes import EventType
from hookcast.wire import State, rfc3339

ID_BYTES = 18  # of a hash: 24 characters, and no two events with the same ones


def message_id(kind: EventType, request_id: str, created_at: datetime, version: int) -> str:
    """Return the id of an event (`webhook-id`): always the same one, whenever and from wherever it is told.

    It is made of the job (its `createdAt`, too: a job that was removed may come again) and the type. `version` counts
    for `job.progress` only, which a job has more than once.
    """
    parts = [request_id, rfc3339(created_at), kind.value, *([version] if kind is EventType.PROGRESS else [])]
    digest = hashlib.sha256(json.encode(parts)).digest()[:ID_BYTES]
    return f"msg_{base64.urlsafe_b64encode(digest).decode()}"


def event_body(kind: EventType, happened_at: datetime, state: State) -> bytes:
    """Return the body: `{"type", "timestamp", "data"}`, where `data` is the state as clients see it, byte for byte."""
    return b'{"type":"%b","timestamp":"%b","data":%b}' % (
        kind.value.encode(),
        rfc3339(happened_at).encode(),
        state.body,
    )
