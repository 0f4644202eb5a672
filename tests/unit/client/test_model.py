"""A job as the client sees it."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from hookcast.client.model import decode_job
from hookcast.jobs import Completed, Phase, Progressed, Registered, unseen
from hookcast.loglines import LogLine
from hookcast.transitions import advance
from hookcast.wire import encode

NOW = datetime(2026, 11, 23, 10, 0, 0, 123_000, tzinfo=UTC)


def test_every_key_of_the_server_is_there() -> None:
    """What the server encodes, the client reads."""
    job = unseen("job-1", now=NOW)
    facts = Registered(endpoint_id="a/b", owner="o", group="g", metadata={"n": msgspec.Raw(b"[1]")}, expected_seconds=9)
    job = advance(job, facts, now=NOW)
    job = advance(job, Progressed(phase=Phase.RUNNING, logs=(LogLine(message="m", level="INFO"),)), now=NOW)
    body = encode(advance(job, Completed(result=msgspec.Raw(b'{"seed":9007199254740993}')), now=NOW)).body
    ours = decode_job(body)
    said: dict[str, Any] = msgspec.json.decode(body)
    known = {field.encode_name for field in msgspec.structs.fields(ours)} - {"$body"}
    assert known == set(said)
    assert {field.encode_name for field in msgspec.structs.fields(ours.progress)} == set(said["progress"])
    assert (ours.ended, ours.owner, ours.group, ours.metadata, ours.completed_at) == (True, "o", "g", {"n": [1]}, NOW)
    assert (ours.progress.logs[0].message, ours.progress.expected_seconds) == ("m", 9)
    assert ours.body == body


@pytest.mark.parametrize("number", [2**53 + 1, 2**64, 10**40, -(2**63) - 1])
def test_whole_numbers_of_a_result_keep_every_digit(number: int) -> None:
    job = decode_job(b'{"requestId":"a","status":"completed","version":2,"result":{"seed":%d}}' % number)
    assert job.result() == {"seed": number}
    assert job.result(dict[str, int]) == {"seed": number}


def test_a_newer_server_does_no_harm() -> None:
    """Unknown keys and unknown words; a status that nobody knows is no end."""
    job = decode_job(b'{"requestId":"a","status":"paused","version":2,"x":{},"progress":{"phase":"warming","eta":1}}')
    assert (job.ended, job.progress.phase, job.result(), bytes(job.error_detail)) == (False, "warming", None, b"null")


def test_the_line_of_a_state_is_one_line_whatever_fal_wrote() -> None:
    """For programs that read line by line."""
    body = b'{"requestId":"a","status":"completed","version":2,"result":{\r\n "a":1\n}}'
    assert "\n" not in decode_job(body).line
    assert msgspec.json.decode(decode_job(body).line) == msgspec.json.decode(body)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"requestId":"a","status":"x","version":1,"result":"\xff"}'])
def test_what_is_no_state_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_job(body)
