"""What tells one event from another, and what a backend gets to read."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import Raw

from hookcast.eventtypes import EventType
from hookcast.forward.events import event_body, message_id
from hookcast.jobs import Completed, unseen
from hookcast.transitions import advance
from hookcast.wire import encode

NOW = datetime(2026, 11, 29, 10, 0, 0, 123_000, tzinfo=UTC)


def test_an_event_has_one_id_for_ever() -> None:
    """Pinned: another one would be told twice over an upgrade."""
    assert message_id(EventType.COMPLETED, "job-1", NOW, 3) == "msg_c8EGMt-qWmQkCRbIlDcB9u5c"


def test_the_version_counts_for_progress_only() -> None:
    """An end that is told again later, with newer links, is the same event."""
    ids = {message_id(kind, "job-1", NOW, version) for kind in EventType for version in (1, 2)}
    assert len(ids) == len(EventType) + 1
    assert all(re.fullmatch(r"msg_[A-Za-z0-9_-]{24}", found) for found in ids)


@pytest.mark.parametrize(("name", "later"), [("job-2", 0), ("job-1", 1)])
def test_another_job_has_another_id(name: str, later: int) -> None:
    """Also one of the same name that came again after it was removed."""
    moment = NOW + timedelta(milliseconds=later)
    assert message_id(EventType.FAILED, name, moment, 1) != message_id(EventType.FAILED, "job-1", NOW, 1)


def test_the_body_holds_the_state_byte_for_byte() -> None:
    job = advance(unseen("job-1", now=NOW), Completed(Raw(b'{"seed": 12345678901234567890, "pi": 3.10}')), now=NOW)
    state = encode(job)
    body = event_body(EventType.COMPLETED, NOW, state)
    assert body.endswith(b',"data":' + state.body + b"}")
    assert {**json.loads(body), "data": 0} == {
        "type": "job.completed",
        "timestamp": "2026-11-29T10:00:00.123Z",
        "data": 0,
    }
