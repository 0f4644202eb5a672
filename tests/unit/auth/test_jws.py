"""Tokens are taken apart as PyJWT does it, which reads the header anew for each one."""

import json
from typing import Any

import jwt
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from hookcast.auth import jws
from hookcast.errors import TokenInvalid

TEXT = st.text("Ae0=.-_+/ é\x00", max_size=8)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "alg": st.sampled_from(["HS256", "none", 1, None]),
        "kid": st.sampled_from(["k", "", 7]),
        "crit": st.sampled_from([["b64"], ["exp"], [], "b64"]),
        "b64": st.booleans(),
    },
)


def _segment(value: object) -> str:
    return jwt.utils.base64url_encode(json.dumps(value).encode()).decode()


ODD = [
    "",
    "e30",
    "W10",
    "e30=",
    "e30==",
    "bnVsbA",
    "e",
    "ey!J9",
    "e3!0",
    "e3 0",
    "e30\n",
    "e31",
    "-_",
    "+/",
    "c2ln",
    "c2lnbg",
]
# One segment in three is odd, so that the others are whole.
SEGMENTS = st.one_of(HEADERS.map(_segment), HEADERS.map(_segment), st.sampled_from(ODD) | TEXT)


def _as_pyjwt(token: str) -> dict[str, Any] | None:
    try:
        parts = jwt.PyJWS().decode_complete(token, options={"verify_signature": False})
        claims = json.loads(parts["payload"])
    except (jwt.PyJWTError, ValueError):
        return None
    if not isinstance(claims, dict) or not isinstance(parts["header"].get("alg"), str):
        return None
    return {"alg": parts["header"]["alg"], "kid": parts["header"].get("kid"), "claims": claims, **parts}


PADDED = _as_pyjwt(f"{_segment({'alg': 'HS256'})}.e30=.") is not None  # some versions of PyJWT refuse what is padded


@pytest.mark.parametrize("odd", ["c2lnbh", "c2ln!", "c2+n", "c2/n", "c2 ln", "c2ln\n", "c2lnbg=", "c2ln===", "c"])
@pytest.mark.parametrize("place", [1, 2])
def test_a_segment_that_no_encoder_makes_is_refused(odd: str, place: int) -> None:
    """Otherwise one token could be written in many ways."""
    segments = [_segment({"alg": "HS256"}), "e30", "c2lnbg"]
    segments[place] = odd
    with pytest.raises(TokenInvalid):
        jws.parse(".".join(segments))


@given(SEGMENTS, SEGMENTS, SEGMENTS)
@example(_segment({"alg": "HS256", "typ": "JWT"}), _segment({"iss": "us"}), "c2ln")
@example(_segment({"alg": "HS256", "b64": False, "crit": ["b64"]}), "", "c2ln")
def test_a_token_has_the_parts_that_pyjwt_finds(header: str, payload: str, signature: str) -> None:
    """And what PyJWT cannot read is refused."""
    token = f"{header}.{payload}.{signature}"
    assume(PADDED or "=" not in token)
    expected = _as_pyjwt(token)
    try:
        found = jws.parse(token)
    except TokenInvalid:
        assert expected is None
        return
    assert expected is not None
    assert (found.algorithm, found.key_id) == (expected["alg"], expected["kid"])
    assert found._claims == expected["claims"]
    assert found._signature == expected["signature"]
    assert found._input == token.rpartition(".")[0].encode()
