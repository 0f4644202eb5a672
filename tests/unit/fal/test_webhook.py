"""What a webhook is read as."""

import pytest
from msgspec import Raw

from hookcast.errors import Malformed
from hookcast.fal.webhook import parse
from hookcast.jobs import Completed, Failed, Phase, Progressed


def test_the_last_reason_of_a_failure_is_its_payload_error() -> None:
    """fal has nothing else to say when the failure's own body is no JSON."""
    body = b'{"request_id": "a", "status": "ERROR", "payload": null, "payload_error": "Not serializable"}'
    assert parse(body).update == Failed(error="Not serializable", detail=Raw(b'"Not serializable"'))


@pytest.mark.parametrize("odd", [b"NaN", b"-Infinity", b'"tab\there"', b'"\x01"'])
def test_a_payload_that_is_nearly_json_does_not_lose_the_outcome(odd: bytes) -> None:
    """A failure is told; a result is fetched, which tells what is wrong with it."""
    failure = b'{"request_id": "a", "status": "error", "payload": {"detail": [{"msg": "Too small", "input": %b}]}}'
    assert parse(failure % odd).update == Failed(error="Too small")
    success = b'{"request_id": "a", "status": "OK", "payload": {"x": %b}}'
    assert parse(success % odd).update == Progressed(phase=Phase.SAVING)


def test_a_failure_is_told_whatever_bytes_it_has() -> None:
    """Those that are not UTF-8 become U+FFFD."""
    body = b'{"request_id": "a", "status": "ERROR", "error": "Caf\xe9 is closed"}'
    assert parse(body).update == Failed(error="Caf\ufffd is closed")


def test_a_byte_order_mark_is_no_part_of_a_webhook() -> None:
    body = b'\xef\xbb\xbf{"request_id": "a", "status": "OK", "payload": {"x":1.50}}'
    assert parse(body).update == Completed(result=Raw(b'{"x":1.50}'))


@pytest.mark.parametrize(
    "body",
    [
        b'{"request_id": 5, "status": "OK", "payload": NaN}',
        b'{"request_id": "a", "status": 1, "payload": NaN}',
        b'{"status": "OK", "payload": NaN}',
        b'{"request_id": "a", "status": "OK", "payload": NaN',
        b"NaN",
    ],
)
def test_what_names_no_job_or_no_end_stays_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        parse(body)
