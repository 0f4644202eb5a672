"""Which key verifies which token, which claim names the user, and what the log says of a refused token."""

import base64
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from structlog.testing import capture_logs

from hookcast.auth import Gate, Provider
from hookcast.auth.jws import ASYMMETRIC
from hookcast.auth.published import Keys, parse_keys
from hookcast.errors import AccessError, TokenInvalid
from hookcast.trust import Trust, path_of
from support.providers import certificate, jwk_of

pytestmark = pytest.mark.anyio
ISSUER, AUDIENCE = "https://idp.test", "app"
PRIVATE: dict[str, Any] = {
    "RSA": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "P-256": ec.generate_private_key(ec.SECP256R1()),
    "P-384": ec.generate_private_key(ec.SECP384R1()),
    "P-521": ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
    "Ed448": ed448.Ed448PrivateKey.generate(),
}
FITTING = {
    "RSA": {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"},
    "P-256": {"ES256"},
    "P-384": {"ES384"},
    "P-521": {"ES512"},
    "Ed25519": {"EdDSA", "Ed25519"},
    "Ed448": {"EdDSA", "Ed448"},
}


class Published:
    """Keys that need no fetching; `newer` are those of a second request."""

    def __init__(self, keys: Keys, newer: Keys | None = None) -> None:
        self.keys = keys
        self.newer = newer
        self.asked = 0

    async def current(self) -> Keys:
        """Return the keys."""
        return self.keys

    async def refreshed(self, _seen: Keys) -> Keys:
        """Return the newer ones, if any."""
        self.asked += 1
        return self.newer or self.keys


def public(kind: str, **members: Any) -> dict[str, Any]:
    """Return the public JWK, with other members; None leaves one out."""
    parts = {name: value for name, value in jwk_of(PRIVATE[kind]).items() if name in {"kty", "crv", "x", "y", "n", "e"}}
    return {name: value for name, value in {**parts, **members}.items() if value is not None}


def keys_of(*jwks: dict[str, Any]) -> Keys:
    """Return the keys of a JWKS."""
    return parse_keys(json.dumps({"keys": jwks}).encode())


def gate(published: Published, claim: str = "sub", audiences: tuple[str, ...] = (AUDIENCE,)) -> Gate:
    """Return a gate with one provider."""
    trust = Trust(jwks_url="https://idp.test/keys", issuers=(ISSUER,), audiences=audiences, user=path_of(claim))
    return Gate(time.time, providers=(Provider(published, trust),))  # type: ignore[arg-type]


def token(kind: str, algorithm: str, kid: str | None = None, **claims: Any) -> str:
    """Return a token with the signature that a library would make for this name of the algorithm."""
    told = {"iss": ISSUER, "aud": AUDIENCE, "sub": "user-1", "exp": int(time.time()) + 600, **claims}
    told = {name: value for name, value in told.items() if value is not None}
    signer = jwt.get_algorithm_by_name("EdDSA" if algorithm.startswith("Ed") else algorithm)
    head = {"alg": algorithm, "kid": kid} if kid else {"alg": algorithm}
    text = f"{_part(head)}.{_part(told)}"
    signature = base64.urlsafe_b64encode(signer.sign(text.encode(), PRIVATE[kind])).decode().rstrip("=")
    return f"{text}.{signature}"


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize("kind", FITTING)
@pytest.mark.parametrize("algorithm", sorted(ASYMMETRIC))
async def test_a_key_verifies_the_algorithms_of_its_kind_only(kind: str, algorithm: str) -> None:
    """Also where the token says something else than its signature is."""
    maker = next(name for name, fitting in FITTING.items() if algorithm in fitting)
    text = token(kind if algorithm in FITTING[kind] else maker, algorithm)
    for published in (keys_of(public(kind)), parse_keys(json.dumps({"a": certificate(PRIVATE[kind])}).encode())):
        if algorithm in FITTING[kind]:
            assert (await gate(Published(published)).admit(text)).sub == "user-1"
        else:
            with pytest.raises(TokenInvalid):
                await gate(Published(published)).admit(text)


@pytest.mark.parametrize("algorithm", sorted(FITTING["RSA"]))
async def test_a_key_that_names_its_algorithm_verifies_no_other(algorithm: str) -> None:
    keys = keys_of(public("RSA", alg=algorithm))
    for other in FITTING["RSA"]:
        if other == algorithm:
            assert (await gate(Published(keys)).admit(token("RSA", other))).sub == "user-1"
        else:
            with pytest.raises(TokenInvalid):
                await gate(Published(keys)).admit(token("RSA", other))


@pytest.mark.parametrize("named", ["EdDSA", "Ed25519"])
@pytest.mark.parametrize("algorithm", ["EdDSA", "Ed25519"])
async def test_both_names_of_ed25519_are_one_algorithm(named: str, algorithm: str) -> None:
    keys = keys_of(public("Ed25519", alg=named))
    assert (await gate(Published(keys)).admit(token("Ed25519", algorithm))).sub == "user-1"


@pytest.mark.parametrize(
    "members", [{"use": "enc"}, {"key_ops": ["encrypt"]}, {"alg": "RSA-OAEP"}, {"alg": "HS256"}, {"alg": "ES256"}]
)
def test_a_key_for_another_purpose_is_ignored(members: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no key"):
        keys_of(public("RSA", **members))


@pytest.mark.parametrize(("published", "named"), [(None, None), ("a", None), (None, "a"), ("a", "a")])
async def test_a_key_id_may_be_missing_on_either_side(published: str | None, named: str | None) -> None:
    other = public("RSA", kid="other") if published else public("P-384")
    keys = keys_of(other, public("P-256", kid=published))
    assert (await gate(Published(keys)).admit(token("P-256", "ES256", named))).sub == "user-1"


async def test_a_new_key_without_an_id_is_fetched() -> None:
    """An old one verifies nothing, though no id says that it is another one."""
    old = {**public("P-256"), **_point(ec.generate_private_key(ec.SECP256R1()))}
    for kid in (None, "new"):
        published = Published(keys_of(old), keys_of(public("P-256", kid=kid)))
        assert (await gate(published).admit(token("P-256", "ES256", kid))).sub == "user-1"
        assert published.asked == 1


async def test_a_forged_signature_of_a_named_key_fetches_nothing() -> None:
    published = Published(keys_of({**public("P-256", kid="a"), **_point(ec.generate_private_key(ec.SECP256R1()))}))
    with pytest.raises(TokenInvalid):
        await gate(published).admit(token("P-256", "ES256", "a"))
    assert published.asked == 0


def _point(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    return {name: jwk_of(key)[name] for name in ("x", "y")}


async def test_a_certificate_counts_until_it_expires() -> None:
    made = {"old": certificate(PRIVATE["RSA"], days=-1), "bad": "-----BEGIN CERTIFICATE-----"}
    for name, days in (("RSA", 1.0), ("P-256", 1.0)):
        made[name] = certificate(PRIVATE[name], days=days)
    found = gate(Published(parse_keys(json.dumps(made).encode())))
    assert (await found.admit(token("RSA", "RS256", "RSA"))).sub == "user-1"
    assert (await found.admit(token("P-256", "ES256", "P-256"))).sub == "user-1"
    with pytest.raises(TokenInvalid):
        await found.admit(token("RSA", "RS256", "old"))


@pytest.mark.parametrize(
    ("claim", "claims", "user"),
    [
        ("oid", {"oid": "a"}, "a"),
        ("user_id", {"user_id": 42}, "42"),
        ("app_metadata.user.id", {"app_metadata": {"user": {"id": "a"}}}, "a"),
        ("https://app.example.com/user.id", {"https://app.example.com/user.id": "a"}, "a"),
        ("sub", {"sub": None}, None),
        ("sub", {"sub": ""}, None),
        ("sub", {"sub": "a\nb"}, None),
        ("oid", {"oid": True}, None),
        ("oid", {"oid": 1.5}, None),
        ("oid", {"oid": ["a"]}, None),
        ("a.b", {"a": "text"}, None),
        ("a.b", {"a.b": "not this"}, None),
    ],
)
async def test_the_user_is_what_the_claim_says(claim: str, claims: dict[str, Any], user: str | None) -> None:
    found = gate(Published(keys_of(public("P-256"))), claim)
    text = token("P-256", "ES256", **claims)
    if user is not None:
        assert (await found.admit(text)).sub == user
        return
    with capture_logs() as lines, pytest.raises(TokenInvalid):
        await found.admit(text)
    assert [(line["reason"], line["claim"]) for line in lines] == [("no_user", claim)]


@pytest.mark.parametrize(
    ("claims", "audiences", "accepted"),
    [
        ({"aud": AUDIENCE}, (AUDIENCE,), True),
        ({"aud": ["other", AUDIENCE]}, ("another", AUDIENCE), True),
        ({"aud": "other", "azp": AUDIENCE}, (AUDIENCE,), False),
        ({"aud": ["other"], "client_id": AUDIENCE}, (AUDIENCE,), False),
        ({"aud": None, "azp": AUDIENCE}, (AUDIENCE,), True),
        ({"aud": [], "client_id": AUDIENCE}, (AUDIENCE,), True),
        ({"aud": None}, (AUDIENCE,), False),
        ({"aud": None, "azp": ["app"]}, (AUDIENCE,), False),
        ({"aud": 5}, (AUDIENCE,), False),
        ({"aud": {"app": 1}}, (AUDIENCE,), False),
        ({"aud": None}, (), True),
        ({"aud": []}, (), True),
        ({"aud": None, "azp": "anybody"}, (), True),
        ({"aud": AUDIENCE}, (), False),
        ({"aud": 5}, (), False),
    ],
)
async def test_for_whom_a_token_was_issued(claims: dict[str, Any], audiences: tuple[str, ...], accepted: bool) -> None:
    """`azp` and `client_id` count only where no `aud` says more; without an audience, an `aud` is somebody else's."""
    found = gate(Published(keys_of(public("P-256"))), audiences=audiences)
    text = token("P-256", "ES256", **claims)
    if accepted:
        assert (await found.admit(text)).sub == "user-1"
        return
    with capture_logs() as lines, pytest.raises(TokenInvalid):
        await found.admit(text)
    assert [line["reason"] for line in lines] == ["wrong_audience"]


@pytest.mark.parametrize(
    ("credential", "reason"),
    [
        ("opaque", "not_a_token"),
        ("eyJhbGciOiJkaXIifQ..iv.text.tag", "not_a_token"),
        ("a.b.c", "malformed"),
        ("x" * 20_000, "malformed"),
        (f"{_part({'alg': 'none'})}.{_part({'sub': 'u'})}.", "algorithm_not_allowed"),
        (f"{_part({'kid': 'a'})}.{_part({'sub': 'u'})}.AAAA", "malformed"),
    ],
)
async def test_what_is_no_token_is_logged_as_such(credential: str, reason: str) -> None:
    with capture_logs() as lines, pytest.raises(AccessError):
        await gate(Published(keys_of(public("P-256")))).admit(credential)
    assert [(line["event"], line["reason"]) for line in lines] == [("token_refused", reason)]


async def test_the_log_shows_who_made_a_token_and_nothing_that_a_terminal_would_obey() -> None:
    """Bounded, without control characters, and without anything of the user."""
    text = token("P-256", "ES256", "\x1b[2J\u202e" + "k" * 500, iss="https://evil\r\n.test", email="ada@example.com")
    with capture_logs() as lines, pytest.raises(TokenInvalid):
        await gate(Published(keys_of(public("P-256")))).admit(text)
    [line] = lines
    assert line["issuer"] == "https://evil\\r\\n.test"
    assert line["key_id"].startswith("\\x1b[2J\\u202ekkk")
    assert len(line["key_id"]) < 150
    assert set(line) == {"event", "log_level", "reason", "issuer", "algorithm", "key_id"}


async def test_strangers_fill_no_log() -> None:
    found = gate(Published(keys_of(public("P-256"))))
    with capture_logs() as lines:
        for _ in range(100):
            with pytest.raises(AccessError):
                await found.admit("a.b.c")
    assert len(lines) == 5
