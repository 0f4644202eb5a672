"""Refused webhooks, counted."""

from datetime import UTC, datetime, timedelta

from hookcast.journal import Refusals
from hookcast.journal.refusals import APART

NOW = datetime(2026, 11, 29, 10, 15, tzinfo=UTC)


def add(refusals: Refusals, number: int = 0, code: str = "signature_missing") -> None:
    """Refuse a webhook that claims the job `job-{number}`."""
    refusals.add(code, "why", f"job-{number}", "203.0.113.7", [])


def test_a_flood_of_different_refusals_is_one_line_with_a_count() -> None:
    refusals = Refusals(lambda: NOW)
    for number in range(10_000):
        add(refusals, number)
    found = refusals.take()
    assert len(found) == APART + 1
    [rest] = [refusal for refusal in found if refusal.request_id is None]
    assert (rest.count, rest.client, rest.headers) == (10_000 - APART, None, {})


def test_other_codes_are_told_apart_in_a_flood() -> None:
    refusals = Refusals(lambda: NOW)
    for number in range(100):
        add(refusals, number)
    add(refusals, 1, "user_mismatch")
    assert [refusal.request_id for refusal in refusals.take() if refusal.code == "user_mismatch"] == ["job-1"]


def test_the_next_hour_has_room_again() -> None:
    now = NOW
    refusals = Refusals(lambda: now)
    for number in range(100):
        add(refusals, number)
    refusals.take()
    now += timedelta(hours=1)
    add(refusals, 99)
    assert [refusal.request_id for refusal in refusals.take()] == ["job-99"]


def test_what_could_not_be_written_is_counted_on() -> None:
    refusals = Refusals(lambda: NOW)
    add(refusals)
    taken = refusals.take()
    add(refusals)
    refusals.put_back(taken)
    [found] = refusals.take()
    assert found.count == 2


def test_no_credential_is_kept_and_no_header_is_long() -> None:
    refusals = Refusals(lambda: NOW)
    headers = [
        (b"Authorization", b"Bearer secret"),
        (b"Cookie", b"secret"),
        (b"X-Api-Key", b"secret"),
        (b"User-Agent", b"x" * 1000),
    ]
    refusals.add("malformed", "why", None, None, headers)
    [found] = refusals.take()
    assert found.headers == {"user-agent": "x" * 200}


def test_a_token_is_hidden_in_whatever_header_it_stands() -> None:
    """A client that is not fal may put one anywhere."""
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1In0.c2ln"
    refusals = Refusals(lambda: NOW)
    headers = [(b"User-Agent", b"x/1"), (b"Content-Type", f"a/b; key={token}".encode())]
    refusals.add("signature_missing", "why", None, None, [*headers, (b"X-Fal-Webhook-User-Id", token.encode())])
    [found] = refusals.take()
    assert found.headers == {"user-agent": "x/1", "content-type": "\u2026", "x-fal-webhook-user-id": "\u2026"}
