"""fal's answers: what can be read of odd ones."""

import json
from typing import Any

import pytest
from msgspec import Raw

from hookcast.errors import FalRejected, FalUnreachable
from hookcast.fal import answers
from hookcast.fal.answers import CancelAnswer, Status, Submitted, failed
from hookcast.fal.sentences import UNKNOWN_REASON
from hookcast.jobs import Phase, Progressed
from hookcast.loglines import LogLine
from support.fal import QUEUE

NO_POSITIONS: list[Any] = [
    *(-1, 2**31, 3 * 10**9, 2**63, 10**30, 3.7, "3.7", "-1", "²", "", "9" * 500),
    *(True, False, None, [], {}, [3], "many"),
]
NO_TIMES: list[Any] = [-1, 10**40, True, [], {"a": 1}, None]


def status(**fields: Any) -> Status:
    """The status in an answer with these fields."""
    return answers.status(json.dumps(fields).encode())


@pytest.mark.parametrize(
    ("word", "phase"),
    [
        ("IN_QUEUE", Phase.QUEUED),
        ("in_queue", Phase.QUEUED),
        ("In Progress", Phase.RUNNING),
        ("COMPLETED", Phase.SAVING),
        (" completed ", Phase.SAVING),
        ("FAILED", Phase.SAVING),
        ("CANCELED", Phase.SAVING),
        ("SOMETHING_NEW", Phase.RUNNING),
    ],
)
def test_fals_words_become_phases(word: str, phase: Phase) -> None:
    """In any case; an unknown word counts as running."""
    assert status(status=word).progress.phase is phase


@pytest.mark.parametrize(
    ("fields", "phase"),
    [
        ({"queue_position": 3}, Phase.QUEUED),
        ({"status": None, "queue_position": "3"}, Phase.QUEUED),
        ({"status": 5, "logs": [{"message": "a"}]}, Phase.RUNNING),
        ({"error": "It broke"}, Phase.SAVING),
        ({"error_type": "internal_error", "status": {}}, Phase.SAVING),
    ],
)
def test_a_status_without_its_word_is_read_by_the_rest(fields: dict[str, Any], phase: Phase) -> None:
    """What it has belongs to one phase."""
    assert status(**fields).progress.phase is phase


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"7", b"{}", b"<html>", b'{"detail": "x"}', b"[" * 10_000])
def test_what_is_no_status_is_none(body: bytes) -> None:
    """It is asked for again."""
    with pytest.raises(FalUnreachable, match="not as documented"):
        answers.status(body)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        *((number, number) for number in (0, 3, 2**31 - 1)),
        (3.0, 3),
        ("12", 12),
        *((value, None) for value in NO_POSITIONS),
    ],
    ids=repr,
)
def test_a_position_is_a_number_that_every_database_can_hold(value: Any, read: int | None) -> None:
    """Or absent; the rest of the answer is read all the same."""
    assert status(status="IN_QUEUE", queue_position=value).progress == Progressed(
        phase=Phase.QUEUED, queue_position=read
    )
    body = json.dumps({"request_id": "a", "queue_position": value}).encode()
    assert answers.submitted(body) == Submitted(request_id="a", queue_position=read)


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9" * 5000])
def test_numbers_that_are_none_lose_nothing_else(number: bytes) -> None:
    """Servers write them though JSON has none."""
    read = answers.status(b'{"status": "IN_QUEUE", "queue_position": %b, "logs": [{"message": "a"}]}' % number)
    assert read.progress == Progressed(phase=Phase.QUEUED, logs=(LogLine(message="a"),))


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ({"message": "a", "timestamp": 1795510800}, LogLine(message="a", timestamp="2026-11-24T09:00:00.000Z")),
        ({"message": "a", "timestamp": 1795510800123}, LogLine(message="a", timestamp="2026-11-24T09:00:00.123Z")),
        ({"message": "a", "timestamp": 1795510800.5}, LogLine(message="a", timestamp="2026-11-24T09:00:00.500Z")),
        *(({"message": "a", "timestamp": odd, "level": odd}, LogLine(message="a")) for odd in NO_TIMES),
        ({"message": "a", "timestamp": "soon", "level": "INFO"}, LogLine(message="a", timestamp="soon", level="INFO")),
        ({"message": 50}, LogLine(message="50")),
        ({"message": {"step": 1}}, LogLine(message='{"step": 1}')),
        ({"message": "nul\0"}, LogLine(message="nul\ufffd")),
        ("plain", LogLine(message="plain")),
        ({"message": None}, None),
        ({"text": "a"}, None),
        (None, None),
    ],
)
def test_odd_log_lines_are_read_as_far_as_possible(line: Any, read: LogLine | None) -> None:
    """The others are not lost with them."""
    found = status(status="IN_PROGRESS", logs=[{"message": "before"}, line, {"message": "after"}]).progress.logs
    assert found == (LogLine(message="before"), *([read] if read else []), LogLine(message="after"))


@pytest.mark.parametrize(("logs", "read"), [("a\nb", ("a", "b")), (None, ()), ({"message": "a"}, ()), (7, ())])
def test_a_log_of_another_shape_is_read_or_absent(logs: Any, read: tuple[str, ...]) -> None:
    found = status(status="IN_PROGRESS", logs=logs).progress.logs
    assert tuple(line.message for line in found) == read


def test_bytes_that_are_no_utf8_lose_nothing_else() -> None:
    """Nor do control characters, or a byte order mark."""
    body = b'\xef\xbb\xbf{"status": "IN_PROGRESS", "logs": [{"message": "\xff\n50%"}]}'
    assert answers.status(body).progress.logs == (LogLine(message="\ufffd\n50%"),)


def test_a_log_line_nested_to_any_depth_raises_nothing_else() -> None:
    """Some can be parsed, but not written as text again."""
    for depth in range(900, 1000):
        body = b'{"status": "IN_PROGRESS", "logs": [{"message": %b}]}' % (b"[" * depth + b"]" * depth)
        with pytest.raises(FalUnreachable):
            answers.status(body)


@pytest.mark.parametrize("url", [5, ["x"], "", "x\0", "x" * 2001, None])
def test_urls_that_are_none_are_absent(url: Any) -> None:
    """The request is known by its id."""
    body = json.dumps({"request_id": "a", "response_url": f"{QUEUE}/a", "status_url": url, "cancel_url": url})
    found = answers.submitted(body.encode())
    assert (found.response_url, found.status_url or None, found.cancel_url or None) == (f"{QUEUE}/a", None, None)


@pytest.mark.parametrize(("value", "read"), [(5, "5"), (2**70, str(2**70)), ("a", "a")])
def test_a_request_id_may_be_a_number(value: Any, read: str) -> None:
    """It names the same request."""
    assert answers.submitted(json.dumps({"request_id": value}).encode()).request_id == read


@pytest.mark.parametrize("name", ["response_url", "status_url", "cancel_url"])
def test_a_request_id_is_also_found_in_the_urls(name: str) -> None:
    """A submit that fal has taken must not be lost over a missing field."""
    body = json.dumps({"request_id": None, name: f"{QUEUE}/fal-ai/flux/requests/job%201/status?logs=1"}).encode()
    assert answers.submitted(body).request_id == "job 1"


@pytest.mark.parametrize("value", [None, "", "../a", "a\0", "\ud800", True, 1.5, ["a"], "a" * 201])
def test_a_submit_answer_without_a_name_is_told(value: Any) -> None:
    """Unless the headers have one."""
    body = json.dumps({"request_id": value}).encode()
    with pytest.raises(FalUnreachable, match="request_id"):
        answers.submitted(body)
    assert answers.submitted(body, "job-1").request_id == "job-1"


@pytest.mark.parametrize(
    ("fields", "error", "error_type"),
    [
        ({"error": "It broke", "error_type": "internal_error"}, "It broke", "internal_error"),
        ({"error": {"message": "It broke"}}, "It broke", None),
        ({"error": None, "error_type": "internal_error"}, "internal_error", "internal_error"),
        ({"error": "It broke", "error_type": 5}, "It broke", None),
        ({"error": "", "error_type": None}, None, None),
        ({}, None, None),
        ({"error": True}, "", None),
        ({"error": None, "errors": [{"message": "It broke"}]}, "It broke", None),
        ({"error_message": "It broke"}, "It broke", None),
        ({"detail": "It broke"}, "It broke", None),
        ({"detail": [{"loc": ["body", "prompt"], "msg": "It is too long"}]}, "prompt: It is too long", None),
        ({"detail": "It broke", "error_type": "internal_error"}, "It broke", "internal_error"),
        ({"detail": None}, None, None),
        ({"detail": []}, None, None),
        ({"message": "All is well"}, None, None),
    ],
)
def test_a_completed_status_tells_its_error(fields: dict[str, Any], error: str | None, error_type: str | None) -> None:
    """A sentence and fal's own type."""
    found = status(status="COMPLETED", **fields)
    assert (found.finished, found.error, found.error_type) == (True, error, error_type)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"status": "FAILED", "detail": "It broke"}, "It broke"),
        ({"status": "error", "message": "It broke", "logs": [{"message": "Loading the model"}]}, "It broke"),
        ({"status": "FAILED", "error": {"text": "It broke again"}}, "It broke again"),
        ({"status": "FAILED", "logs": [{"message": "Loading the model"}]}, ""),
        ({"status": "CANCELED"}, "The request was cancelled at fal."),
    ],
)
def test_a_status_whose_word_says_failed_is_a_failure(fields: dict[str, Any], error: str) -> None:
    """fal has no such word today; its result need not tell the failure again."""
    assert status(**fields).error == error


def test_a_failure_without_words_is_told_as_such() -> None:
    """Unless the answer to the request for the result has some."""
    told = status(status="FAILED")
    assert failed(None, told).error == UNKNOWN_REASON
    assert failed(rejected(b'{"detail": "Not found"}', 404), told).error == UNKNOWN_REASON
    assert failed(rejected(b'{"detail": "No GPU left"}', 503), told).error == "No GPU left"


@pytest.mark.parametrize(
    ("code", "body", "answer"),
    [
        (202, b'{"status": "CANCELLATION_REQUESTED"}', CancelAnswer.REQUESTED),
        (200, b'{"status": "CANCELLATION_REQUESTED"}', CancelAnswer.REQUESTED),
        (200, b'{"status": "OK"}', CancelAnswer.REMOVED),
        (200, b"", CancelAnswer.REMOVED),
        (202, b"[]", CancelAnswer.REQUESTED),
        (400, b'{"status": "already_completed"}', CancelAnswer.ALREADY_COMPLETED),
        (400, b"<html>", CancelAnswer.ALREADY_COMPLETED),
        (404, b'{"status": 7}', CancelAnswer.NOT_FOUND),
        (403, b'{"status": "NOT_FOUND"}', None),
        (500, b"", None),
    ],
)
def test_cancel_is_understood_by_its_word_and_its_status(code: int, body: bytes, answer: CancelAnswer | None) -> None:
    """200 alone does not say that the request was removed."""
    assert answers.cancelled(code, body) is answer


def rejected(body: bytes | None, code: int = 422, *, said: str = "fal answered with an empty body.") -> FalRejected:
    """fal's refusal of a result."""
    return FalRejected(said, fal_status=code, fal_body=None if body is None else Raw(body))


TOLD = Status(progress=Progressed(phase=Phase.SAVING), error="It broke", error_type="internal_error")


@pytest.mark.parametrize(
    ("body", "error", "detail"),
    [
        (None, "It broke", b'{"error":"It broke","error_type":"internal_error"}'),
        (b'{"detail": "Bad Gateway"}', "It broke", b'{"detail":"Bad Gateway","error_type":"internal_error"}'),
        (b'{"detail": "No GPU left"}', "No GPU left", b'{"detail":"No GPU left","error_type":"internal_error"}'),
        (b'{"detail": "No", "error_type": "x"}', "No", b'{"detail": "No", "error_type": "x"}'),
        (b'["No GPU left"]', "No GPU left", b'["No GPU left"]'),
    ],
)
def test_result_and_status_tell_a_failure_together(body: bytes | None, error: str, detail: bytes) -> None:
    """The better sentence; fal's body, with its error type."""
    found = failed(rejected(body), TOLD)
    assert (found.error, found.detail) == (error, Raw(detail))


def test_the_status_tells_why_there_is_no_result_better_than_a_server_that_has_none() -> None:
    assert failed(rejected(b'{"detail": "Try again later"}', 503), TOLD).error == "It broke"
    assert failed(rejected(b'{"detail": "Request not found"}', 404), TOLD).error == "It broke"
    untold = Status(progress=Progressed(phase=Phase.SAVING), error_type="internal_error")
    assert failed(rejected(b'{"detail": "No GPU left"}', 503), untold).error == "No GPU left"
