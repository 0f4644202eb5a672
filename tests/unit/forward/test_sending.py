"""What a receiver's answer means."""

from datetime import UTC, datetime

import pytest

from hookcast.forward.sending import Verdict, judged, seconds_of

NOW = datetime(2026, 11, 29, 10, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        *((status, Verdict.DELIVERED) for status in (200, 201, 202, 204, 299)),
        (410, Verdict.GONE),
        *((status, Verdict.REFUSED) for status in (301, 302, 304, 307, 308, 400, 401, 404, 429, 500, 503)),
    ],
)
def test_2xx_is_success_410_ends_and_all_else_is_a_failure(status: int, verdict: Verdict) -> None:
    answer = judged(status, None, NOW)
    assert (answer.verdict, answer.status, answer.after) == (verdict, status, None)
    assert answer.final is (verdict is not Verdict.REFUSED)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("999999999", 86400.0),
        ("Sun, 29 Nov 2026 10:01:30 GMT", 90.0),
        ("Sunday, 29-Nov-26 10:01:30 GMT", 90.0),
        ("Sun Nov 29 10:01:30 2026", 90.0),
        ("Sun, 29 Nov 2026 09:00:00 GMT", 0.0),
        ("Wed, 29 Dec 2027 09:00:00 GMT", 86400.0),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("9" * 5000, None),
    ],
)
def test_retry_after_is_a_number_or_a_date(text: str, seconds: float | None) -> None:
    """RFC 9110 section 10.2.3; never beyond a day."""
    assert seconds_of(text, NOW) == seconds
    assert judged(429, text, NOW).after == seconds
