"""Tokens and keys as an attacker, or a careless provider, would make them."""

import base64
import hmac
import json
import time
from contextlib import suppress
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from hookcast.auth import Gate, Provider
from hookcast.auth.published import Keys, parse_keys
from hookcast.errors import AccessError, TokenInvalid
from hookcast.trust import Trust
from support.access import A_DAY, AUDIENCE, ISSUER, SECRET, IdentityProvider, token

pytestmark = pytest.mark.anyio
IDP = IdentityProvider()
GOOD = {key["alg"]: key for key in json.loads(IDP.document())["keys"]}
RSA = GOOD["RS256"]
PRIVATE = {**json.loads(RSAAlgorithm.to_jwk(IDP.keys["RS256"])), "kid": RSA["kid"], "alg": "RS256"}  # type: ignore[arg-type]
TRUST = Trust(jwks_url="https://idp.test/jwks.json", issuers=(ISSUER,), audiences=(AUDIENCE,))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


class Published:
    """Keys that need no fetching."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.asked = 0

    async def current(self) -> Keys:
        """As they are."""
        return self.keys

    async def refreshed(self, _seen: Keys) -> Keys:
        """The same."""
        self.asked += 1
        return self.keys


def gate(*keys: Any) -> Gate:
    """A gate that knows our secret and these keys of a provider."""
    published = Published(parse_keys(json.dumps({"keys": keys}).encode()))
    return Gate(time.time, secrets=(SECRET,), providers=(Provider(published, TRUST),))  # type: ignore[arg-type]


def part(value: bytes) -> str:
    """One of a token's three."""
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def signed(claims: bytes, head: bytes = b'{"alg":"HS256"}') -> str:
    """A token of ours whose claims no library would write."""
    said = f"{part(head)}.{part(claims)}"
    return f"{said}.{part(hmac.digest(SECRET.encode(), said.encode(), 'sha256'))}"


EXP = int(time.time()) + A_DAY
ODD: dict[str, str] = {
    "exp Infinity": signed(b'{"exp":Infinity,"sub":"u"}'),
    "exp 1e400": signed(b'{"exp":1e400,"sub":"u"}'),
    "exp NaN": signed(b'{"exp":NaN,"sub":"u"}'),
    "exp of 400 digits": signed(b'{"exp":1%b,"sub":"u"}' % (b"0" * 400)),
    "exp of 5000 digits": signed(b'{"exp":1%b,"sub":"u"}' % (b"0" * 5000)),
    "nbf NaN": signed(b'{"exp":%d,"nbf":NaN,"sub":"u"}' % EXP),
    "half a surrogate pair as sub": signed(b'{"exp":%d,"sub":"\\ud800"}' % EXP),
    "half a surrogate pair as a job": signed(b'{"exp":%d,"jobs":["\\ud800"]}' % EXP),
    "NUL in sub": signed(b'{"exp":%d,"sub":"a\\u0000"}' % EXP),
    "a line's end in a group": signed(b'{"exp":%d,"groups":["g\\n"]}' % EXP),
    "claims that are a list": signed(b"[]"),
    "deep head": part(b"[" * 8000) + ".e30.e30",
    "head that is a number": part(b"1") + ".e30.e30",
    "kid that is a list": part(b'{"alg":"RS256","kid":["a"]}') + ".e30.e30",
    "critical extension": signed(b'{"exp":%d,"sub":"u"}' % EXP, b'{"alg":"HS256","crit":["x"],"x":1}'),
    "payload elsewhere": signed(b'{"exp":%d,"sub":"u"}' % EXP, b'{"alg":"HS256","b64":false,"crit":["b64"]}'),
    "not ASCII": "é.é.é",
    "half a surrogate pair": "\ud800.a.b",
}


@pytest.mark.parametrize("name", ODD)
async def test_an_odd_token_is_refused(name: str) -> None:
    """Even one that our own secret signed: with an answer, not a crash."""
    with pytest.raises(AccessError):
        await gate(*GOOD.values()).admit(ODD[name])


async def test_deep_claims_crash_nothing() -> None:
    """Of a token that our own secret signed; how deep is too deep is Python's to say, from version to version."""
    with suppress(AccessError):
        caller = await gate(*GOOD.values()).admit(
            signed(b'{"exp":%d,"sub":"u","a":%b%b}' % (EXP, b"[" * 4000, b"]" * 4000))
        )
        assert caller.sub == "u"


async def test_a_key_that_the_token_brings_along_is_not_looked_at() -> None:
    """`jwk`, `jku`, `x5c`, `x5u`: only the provider's own keys count."""
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    brought = json.loads(RSAAlgorithm.to_jwk(own.public_key()))
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "user-1", "exp": EXP}
    for head in ({"jwk": brought}, {"jku": "http://127.0.0.1:1/"}, {"x5u": "http://127.0.0.1:1/"}, {"x5c": ["AA=="]}):
        for named in ({}, {"kid": RSA["kid"]}):
            made = jwt.encode(claims, own, algorithm="RS256", headers={**head, **named})
            with pytest.raises(TokenInvalid):
                await gate(*GOOD.values()).admit(made)


async def test_a_token_of_ours_does_not_count_as_the_providers() -> None:
    """Without a secret there is no HS256, whatever was published."""
    published = Published(parse_keys(IDP.document()))
    alone = Gate(time.time, providers=(Provider(published, TRUST),))  # type: ignore[arg-type]
    for secret in (SECRET, RSA["n"]):
        with pytest.raises(TokenInvalid):
            await alone.admit(token(secret, sub="user-1", iss=ISSUER, aud=AUDIENCE))
    assert not published.asked


def weak() -> dict[str, Any]:
    """An RSA key of 1024 bits."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505
    return {**json.loads(RSAAlgorithm.to_jwk(key.public_key())), "kid": "weak"}


USELESS: dict[str, Any] = {
    "private": PRIVATE,
    "symmetric": {"kty": "oct", "k": part(SECRET.encode()), "alg": "RS256"},
    "of 1024 bits": weak(),
    "alg none": {**RSA, "alg": "none"},
    "alg HS256": {**RSA, "alg": "HS256"},
    "alg as a list": {**RSA, "alg": ["RS256"]},
    "for encryption": {**RSA, "use": "enc"},
    "kid as a list": {**RSA, "kid": ["x"]},
    "kty as a list": {**RSA, "kty": ["RSA"]},
    "without its number": {**RSA, "n": ""},
    "number as a number": {**RSA, "n": 1},
    "no base64": {**RSA, "n": "é"},
    "off the curve": {**GOOD["ES256"], "x": part(b"a" * 32)},
    "curve of key agreement": {**GOOD["EdDSA"], "crv": "X25519"},
    "null": None,
    "deep": json.loads("[" * 500 + "]" * 500),
}


@pytest.mark.parametrize("name", USELESS)
async def test_a_useless_key_is_passed_over(name: str) -> None:
    """Alone it is no key; beside good ones, before them too, these count all the same."""
    with pytest.raises(ValueError, match="no key for RS256"):
        gate(USELESS[name])
    for algorithm in GOOD:
        for keys in ([USELESS[name], *GOOD.values()], [*GOOD.values(), USELESS[name]] * 2):
            assert (await gate(*keys).admit(IDP.token(algorithm))).sub == "user-1"


@given(
    st.sampled_from(sorted({*RSA, *GOOD["ES256"], *GOOD["EdDSA"], *PRIVATE, "x5c", "key_ops"})),
    JSON,
    st.sampled_from(sorted(GOOD)),
)
async def test_whatever_a_provider_publishes_breaks_nothing(member: str, value: Any, algorithm: str) -> None:
    """Any member of a key may be anything."""
    found = gate({**GOOD[algorithm], member: value}, *GOOD.values())
    assert (await found.admit(IDP.token(algorithm))).sub == "user-1"
