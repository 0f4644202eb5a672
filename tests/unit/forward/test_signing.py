"""The signatures are those of the official library, for each secret."""

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from hookcast.forward.signing import signed_headers
from hookcast.keys import signing_keys

# The example of the specification's libraries.
SECRET, ID, BODY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}'
AT = datetime.fromtimestamp(1614265330, UTC)
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_example_of_the_specification_is_signed_alike() -> None:
    headers = signed_headers(signing_keys(SECRET), message_id=ID, timestamp=1614265330, body=BODY)
    assert headers == {"webhook-id": ID, "webhook-timestamp": "1614265330", "webhook-signature": SIGNATURE}


@given(key=st.binary(min_size=24, max_size=64), text=st.text(), seconds=st.integers(0, 2**33))
def test_whatever_is_signed_the_official_library_signs_it_alike(key: bytes, text: str, seconds: int) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    body = text.encode("utf-8", "replace")
    headers = signed_headers(signing_keys(secret), message_id="msg_1", timestamp=seconds, body=body)
    theirs = Webhook(secret).sign("msg_1", datetime.fromtimestamp(seconds, UTC), body.decode())
    assert headers["webhook-signature"] == theirs


def test_while_a_secret_is_rotated_a_receiver_with_either_verifies() -> None:
    old, new = (f"whsec_{base64.b64encode(bytes([number]) * 32).decode()}" for number in (1, 2))
    now = int(datetime.now(UTC).timestamp())
    headers = signed_headers(signing_keys(f"{new}, {old}"), message_id="msg_1", timestamp=now, body=b'{"a":1}')
    assert [Webhook(secret).verify(b'{"a":1}', headers) for secret in (old, new)] == [{"a": 1}] * 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_",
        "whsec_c2hvcnQ=",
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
        "whsec_" + "-_" * 20,
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw schlüssel",
        f"{SECRET},whsec_x",
        f"{SECRET};{SECRET}",
    ],
)
def test_a_secret_of_another_form_is_refused(text: str) -> None:
    """And not quoted."""
    with pytest.raises(ValueError, match="whsec_ and 24 to 64 random bytes") as caught:
        signing_keys(text)
    assert "MfKQ" not in str(caught.value)


@pytest.mark.parametrize("size", [24, 25, 26, 64])
def test_a_secret_may_lack_its_padding(size: int) -> None:
    """As the libraries have it."""
    text = base64.b64encode(bytes(range(size))).decode()
    assert signing_keys(f"whsec_{text}") == signing_keys(f"whsec_{text.rstrip('=')}") == (bytes(range(size)),)
