"""What `hookcast doctor` says of identity providers: each wrong configuration in words that name the cure."""

import json
import time
from email.utils import formatdate
from typing import Any

import httpx
import pytest

from hookcast.cli.doctor_providers import look
from hookcast.cli.findings import Finding
from hookcast.settings import Settings
from support.access import IdentityProvider
from support.providers import certificate, private_key

pytestmark = pytest.mark.anyio
ISSUER = "https://idp.example/tenant-1"
KEYS, DISCOVERY = f"{ISSUER}/.well-known/jwks.json", f"{ISSUER}/.well-known/openid-configuration"
OTHER = "https://idp.example/tenant-2"
URL, ISS = "HOOKCAST_TOKEN_JWKS_URL", "HOOKCAST_TOKEN_ISSUER"
IDP = IdentityProvider()
JWK = json.loads(IDP.document())["keys"][0]
OLD = json.dumps({"a": certificate(private_key("x", "RS256"), days=-1)})
PAGE = "<!doctype html><title>Log in</title>"
SECRET = "HOOKCAST_TOKEN_SECRET"


def discovery(issuer: str = ISSUER, keys: str = KEYS) -> dict[str, Any]:
    """Return a discovery document."""
    return {"issuer": issuer, "jwks_uri": keys, "authorization_endpoint": f"{issuer}/authorize"}


async def said(
    answers: dict[str, Any],
    *,
    keys: str = KEYS,
    issuer: str = ISSUER,
    audience: str = "app",
    headers: dict[str, str] | None = None,
) -> list[Finding]:
    """Return the findings where these URLs answer: text, JSON, a status, or an exception; all others answer 404."""
    web = {KEYS: json.loads(IDP.document()), DISCOVERY: discovery(), **answers}

    def answer(request: httpx.Request) -> httpx.Response:
        given = web.get(str(request.url), 404)
        if isinstance(given, Exception):
            raise given
        if isinstance(given, int):
            return httpx.Response(given, headers={"location": "https://elsewhere.example/"})
        content = given if isinstance(given, str) else json.dumps(given)
        return httpx.Response(200, content=content, headers=headers)

    settings = Settings(token_jwks_url=keys, token_issuer=issuer, token_audience=audience)
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), trust_env=False) as client:
        return await look(settings, client)


WRONG: dict[str, tuple[dict[str, Any], list[str]]] = {
    "the discovery document": ({"keys": DISCOVERY}, ["is the discovery document", f"set {URL}={KEYS}"]),
    "404": ({"keys": f"{ISSUER}/jwks"}, ["answers 404", f"names {URL}={KEYS}"]),
    "500": ({KEYS: 500}, ["answers 500"]),
    "a redirect": ({KEYS: 302}, ["redirects to https://elsewhere.example/", "final address"]),
    "a web page": ({KEYS: PAGE}, ["a web page, not with keys"]),
    "unreachable": ({KEYS: httpx.ConnectError("no")}, ["does not answer (ConnectError)", "firewall"]),
    "slow": ({KEYS: httpx.ReadTimeout("no")}, ["does not answer (ReadTimeout)"]),
    "no keys": ({KEYS: {"keys": []}}, ["signs with a shared secret", SECRET]),
    "a symmetric key": ({KEYS: {"keys": [{"kty": "oct", "k": "AA"}]}}, ["only a symmetric key", SECRET]),
    "private keys": ({KEYS: {"keys": [{**JWK, "d": "AA"}]}}, ["publishes private keys"]),
    "keys for encryption": ({KEYS: {"keys": [{**JWK, "use": "enc"}]}}, ["only keys for encryption"]),
    "more than the server takes": (
        {KEYS: json.dumps({"keys": [JWK]}) + " " * 2**18},
        ["the keys take more than 256 KiB"],
    ),
    "useless keys": ({KEYS: {"keys": [{"kty": "EC", "crv": "secp256k1"}]}}, ["no usable key", "P-256"]),
    "another document": ({KEYS: {"hello": "world"}}, ["neither a JWKS (`keys`) nor certificates"]),
    "expired certificates": ({KEYS: OLD}, ["only expired certificates", "clock"]),
    "issuer without its slash": (
        {DISCOVERY: discovery(f"{ISSUER}/")},
        ["with a slash at its end", f"set {ISS}={ISSUER}/"],
    ),
    "issuer with a slash too many": ({"issuer": f"{ISSUER}/"}, ["without a slash", f"set {ISS}={ISSUER}"]),
    "http issuer": (
        {"issuer": "http://idp.example/tenant-1", "http://idp.example/tenant-1/.well-known/openid-configuration": 301},
        [f"`iss` is {ISSUER}, not http://idp.example/tenant-1", f"set {ISS}={ISSUER}"],
    ),
    "issuer of nobody": ({"issuer": f"{ISSUER}-x"}, [f"`iss` is {ISSUER}, not {ISSUER}-x"]),
    "keys of another tenant": (
        {
            "keys": f"{OTHER}/keys",
            f"{OTHER}/keys": json.loads(IdentityProvider(generation=2).document()),
        },
        ["the keys of another tenant", f"set {URL}={KEYS}"],
    ),
    "no single tenant": ({DISCOVERY: discovery("https://idp.example/{tenantid}")}, ["replace `common`", URL]),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_configuration_fails_in_words_that_name_the_cure(name: str) -> None:
    given, words = WRONG[name]
    options = {key: value for key, value in given.items() if key in {"keys", "issuer"}}
    found = await said({key: value for key, value in given.items() if key not in options}, **options)
    assert [finding.level for finding in found] == ["fail"]
    assert all(word in found[0].text for word in words), found[0].text


async def test_a_right_configuration_is_told_with_its_keys() -> None:
    [found] = await said({})
    assert (found.level, found.subject) == ("ok", "provider")
    assert found.text == f"{KEYS} returns 3 keys (ES256, Ed25519, RS256)"


async def test_a_missing_audience_is_a_warning_with_its_consequence() -> None:
    """Some providers have none: the server starts, and logs nothing."""
    found = await said({}, audience="")
    assert [finding.level for finding in found] == ["ok", "warn"]
    assert f"no HOOKCAST_TOKEN_AUDIENCE is set for {ISSUER}" in found[1].text


@pytest.mark.parametrize("issuer", [ISSUER, "P2Example"])
async def test_a_provider_without_a_discovery_document_is_fine(issuer: str) -> None:
    [found] = await said({DISCOVERY: 404}, issuer=issuer)
    assert (found.level, "could not be checked" in found.text) == ("ok", True)


async def test_the_same_keys_at_two_addresses_are_fine() -> None:
    """Google publishes Firebase's as a JWKS and as certificates."""
    answers = {f"{OTHER}/keys": json.loads(IDP.document())}
    assert [found.level for found in await said(answers, keys=f"{OTHER}/keys")] == ["ok"]


async def test_a_secret_key_among_others_is_a_warning() -> None:
    found = await said({KEYS: {"keys": [JWK, {"kty": "oct", "k": "AA"}]}})
    assert [finding.level for finding in found] == ["ok", "warn"]
    assert "remove it" in found[1].text


@pytest.mark.parametrize(
    ("seconds", "age", "expected"),
    [
        (0, 0, None),
        (-3600, 3600, None),
        (-20, 0, ("warn", "ahead of")),
        (-60, 0, ("fail", "tokens expire too early")),
        (90, 0, ("fail", "not valid yet")),
    ],
)
async def test_a_clock_that_differs_from_the_providers_is_noticed(
    seconds: int, age: int, expected: tuple[str, str] | None
) -> None:
    """Tokens may live for a minute. A cached answer is as old as its `Age`."""
    found = await said({}, headers={"Date": formatdate(time.time() + seconds, usegmt=True), "Age": str(age)})
    clock = [finding for finding in found if finding.subject == "clock"]
    if expected is None:
        assert not clock
    else:
        assert [finding.level for finding in clock] == [expected[0]]
        assert expected[1] in clock[0].text


async def test_each_of_several_providers_is_looked_at() -> None:
    answers: dict[str, Any] = {f"{OTHER}/keys": {"keys": []}}
    found = await said(answers, keys=f"{KEYS}, {OTHER}/keys", issuer=f"{ISSUER}, {OTHER}", audience="app, app")
    assert [finding.level for finding in found] == ["ok", "fail"]
