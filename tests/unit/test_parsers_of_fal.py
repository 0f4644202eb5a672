"""Whatever fal sends, a parser reads it or refuses it with its own error."""

import contextlib
import json
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from hookcast.errors import (
    FalRejected,
    FalUnreachable,
    Malformed,
    SignatureMissing,
    WebhookRefused,
)
from hookcast.fal import answers
from hookcast.fal.calls import Answer, Call, Calls
from hookcast.fal.keys import parse_jwks
from hookcast.fal.sentences import MAX_SENTENCE, sentence
from hookcast.fal.signature import SignedHeaders, verify
from hookcast.fal.webhook import parse
from hookcast.jobs import Completed, Failed, Phase, Progressed, valid_request_id
from support.fal import jwk, sign

KEY = SigningKey(bytes(32))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
WEBHOOKS = st.fixed_dictionaries(
    {"request_id": st.text(max_size=210) | JSON, "status": st.sampled_from(["OK", "ERROR"]) | JSON},
    optional=dict.fromkeys(("payload", "error", "payload_error", "gateway_request_id"), JSON),
)


@given(fields=WEBHOOKS)
def test_a_webhook_is_refused_or_ends_the_job_it_names(fields: dict[str, Any]) -> None:
    """The name can stand in a path; the result is the payload, digit for digit; a failure has a sentence."""
    body = json.dumps(fields).encode()
    try:
        report = parse(body)
    except Malformed:
        return
    assert report.request_id == fields["request_id"]
    assert valid_request_id(report.request_id)
    match report.update:
        case Completed(result=result):
            assert fields["status"] == "OK"
            assert bytes(result).decode() == json.dumps(fields.get("payload"))
        case Failed(error=error):
            assert fields["status"] == "ERROR"
            assert 0 < len(error) <= MAX_SENTENCE
        case Progressed(phase=phase):
            assert phase is Phase.SAVING
            assert fields.get("payload") is None
            assert fields.get("payload_error") is not None or fields.get("error") is not None


@given(body=st.binary(max_size=200) | WEBHOOKS.map(lambda fields: json.dumps(fields).encode()), cut=st.integers(0, 300))
def test_bytes_that_are_cut_anywhere_are_a_webhook_or_malformed(body: bytes, cut: int) -> None:
    """Nothing else comes out of the parser."""
    try:
        parse(body[:cut])
    except Malformed:
        return
    assert isinstance(msgspec.json.decode(body[:cut]), dict)


@given(body=st.binary(), place=st.integers(0), headers=st.dictionaries(st.text(), st.text()))
def test_a_signature_holds_for_its_own_bytes_only(body: bytes, place: int, headers: dict[str, str]) -> None:
    """Any other byte, header or key is refused with an error of the signature's."""
    signed = SignedHeaders.read(sign(body, KEY, timestamp=1000))
    verify(signed, body, [SigningKey(bytes([1] * 32)).verify_key, KEY.verify_key], now=1000)
    changed = bytearray(body + b"x")
    changed[place % len(changed)] ^= 1
    with pytest.raises(WebhookRefused):
        verify(signed, bytes(changed), [KEY.verify_key], now=1000)
    with pytest.raises(SignatureMissing):
        SignedHeaders.read(headers)


@given(values=st.tuples(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1), st.text(min_size=1)))
def test_made_up_signature_headers_never_hold(values: tuple[str, str, str, str]) -> None:
    """Whatever characters they have that a header can have."""
    latin = [value.encode("utf-8").decode("latin-1") for value in values]
    names = sign(b"{}", KEY)
    with pytest.raises(WebhookRefused):
        verify(SignedHeaders.read(dict(zip(names, latin, strict=True))), b"{}", [KEY.verify_key], now=1000)


@given(others=st.lists(JSON | st.fixed_dictionaries({"kty": st.just("OKP"), "crv": st.just("Ed25519"), "x": JSON})))
def test_a_jwks_gives_its_good_keys_whatever_stands_beside_them(others: list[Any]) -> None:
    """RFC 7517 section 5; without a good one it is refused."""
    assert KEY.verify_key in parse_jwks(json.dumps({"keys": [*others, jwk(KEY)]}).encode())


@given(document=st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_what_is_no_jwks_is_refused(document: bytes) -> None:
    """With ValueError, which keeps the last good keys."""
    with pytest.raises(ValueError, match=r"JWKS|utf-8"):
        parse_jwks(document)


@given(answer=st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_an_answer_of_fals_is_as_documented_or_counts_as_no_answer(answer: bytes) -> None:
    """Never another error, and what is taken over has the right types."""
    with contextlib.suppress(FalUnreachable):
        assert valid_request_id(answers.submitted(answer).request_id)
    with contextlib.suppress(FalUnreachable):
        assert isinstance(answers.status(answer).progress.phase, Phase)
    assert isinstance(answers.cancelled(400, answer), answers.CancelAnswer)


@given(
    answer=st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()),
    status=st.integers(400, 501).filter(lambda status: status != 429),
)
def test_a_refusal_of_fals_has_a_sentence(answer: bytes, status: int) -> None:
    """Of readable length, whatever fal writes."""
    with pytest.raises(FalRejected) as caught:
        Calls(httpx.AsyncClient()).settled(Call.STATUS, Answer(status, httpx.Headers(), answer))
    assert 0 < len(str(caught.value)) <= MAX_SENTENCE
    assert not [char for char in str(caught.value) if ord(char) < 32]
    assert sentence(None)
