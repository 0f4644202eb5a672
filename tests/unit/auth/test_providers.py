"""Tokens of identity providers as they are, signed with the libraries of their users: accepted, or refused and logged.

Claims and headers follow each provider's documentation; the settings are those of docs/access.md, word for word.
"""

import time
from datetime import UTC, datetime
from functools import cache
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from hookcast.auth import Gate, Provider
from hookcast.auth.published import parse_keys
from hookcast.errors import AccessError
from hookcast.jwks import PublishedKeys, StoredKeys
from support.providers import LIBRARIES, SECRET, USER, Token, documented, make, makers_of, published, settings_of

pytestmark = pytest.mark.anyio
TENANT, APP = "11111111-2222-3333-4444-555555555555", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
V2, V1 = f"https://login.microsoftonline.com/{TENANT}/v2.0", f"https://sts.windows.net/{TENANT}/"
COGNITO, CLERK = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Example", "https://clerk.example.com"
AUTH0, KEYCLOAK = "https://example.eu.auth0.com/", "https://keycloak.example.com/realms/example"
OKTA, GOOGLE = "https://example.okta.com/oauth2/default", "1234567890-example.apps.googleusercontent.com"
SUPABASE, FIREBASE = (
    "https://abcdefghijklmnopqrst.supabase.co/auth/v1",
    "https://securetoken.google.com/example-project",
)
STYTCH, KINDE = "stytch.com/project-live-example", "https://example.kinde.com"
KINDE_APP = "0123456789abcdef0123456789abcdef"
WORKOS = "https://api.workos.com/user_management/client_01EXAMPLE"


def _clerk(**claims: Any) -> dict[str, Any]:
    now = int(time.time())
    base = {"iss": CLERK, "sub": USER, "azp": "https://app.example.com", "sid": "sess_1", "sts": "active", "v": 2}
    return {**base, "nbf": now - 10, "fva": [7, -1], **claims}


def _supabase(**claims: Any) -> dict[str, Any]:
    base = {"iss": SUPABASE, "aud": "authenticated", "sub": USER, "role": "authenticated", "aal": "aal1"}
    return {**base, "session_id": "s", "is_anonymous": False, "app_metadata": {"provider": "email"}, **claims}


def _entra(issuer: str, **claims: Any) -> dict[str, Any]:
    return {"iss": issuer, "oid": USER, "sub": "pairwise", "tid": TENANT, **claims}


def _descope(issuer: str, **claims: Any) -> dict[str, Any]:
    return {"iss": issuer, "sub": USER, "drn": "DS", "amr": ["oauth"], "rexp": "2099-01-01T00:00:00Z", **claims}


def _workos(**claims: Any) -> dict[str, Any]:
    return {"iss": WORKOS, "sub": USER, "sid": "session_1", "jti": "1", "org_id": "org_1", "role": "member", **claims}


AUTH0_ACCESS = {"iss": AUTH0, "sub": USER, "aud": ["https://api.example.com", f"{AUTH0}userinfo"], "azp": "client"}
COGNITO_ACCESS = {
    "iss": COGNITO,
    "sub": USER,
    "client_id": "1example23456789",
    "token_use": "access",
    "scope": "openid",
}
COGNITO_ID = {"iss": COGNITO, "sub": USER, "aud": "1example23456789", "token_use": "id", "cognito:username": "ada"}
FIREBASE_ID = {"iss": FIREBASE, "sub": USER, "aud": "example-project", "user_id": USER, "firebase": {"identities": {}}}
KEYCLOAK_ACCESS = {"iss": KEYCLOAK, "sub": USER, "aud": ["my-app", "account"], "azp": "my-app", "typ": "Bearer"}
OKTA_ACCESS = {"iss": OKTA, "sub": "ada@example.com", "aud": "api://default", "cid": "0oa1", "uid": USER, "ver": 1}
GOOGLE_ID = {"iss": "https://accounts.google.com", "sub": USER, "aud": GOOGLE, "azp": GOOGLE, "hd": "example.com"}
STYTCH_SESSION = {
    "iss": STYTCH,
    "sub": USER,
    "aud": ["project-live-example"],
    "https://stytch.com/session": {"id": "s"},
}
KINDE_ACCESS = {"iss": KINDE, "sub": USER, "aud": [], "azp": KINDE_APP, "scp": ["openid"]}

TOKENS = (
    Token("Clerk", "session", _clerk()),
    Token("Clerk", "session of a page in development", _clerk(azp="http://localhost:3000")),
    Token("Clerk", "JWT template with an audience", _clerk(aud="https://app.example.com", azp=None)),
    Token("Clerk", "JWT template for another service", _clerk(aud="convex"), "wrong_audience"),
    Token("Clerk", "session of another origin", _clerk(azp="https://evil.example"), "wrong_audience"),
    Token("Clerk", "session without an origin", _clerk(azp=None), "wrong_audience"),
    Token("Clerk", "session of another instance", _clerk(iss="https://x.clerk.accounts.dev"), "wrong_issuer"),
    Token("Clerk", "session after 60 s", _clerk(), "expired", expires_in=-1),
    Token("Clerk", "session of a clock ahead", _clerk(nbf=int(time.time()) + 86_400), "not_yet_valid"),
    Token("Auth0", "access", {**AUTH0_ACCESS, "scope": "openid profile", "permissions": []}),
    Token("Auth0", "access, RFC 9068 profile", {**AUTH0_ACCESS, "client_id": "client"}, header={"typ": "at+jwt"}),
    Token("Auth0", "access, PS256", AUTH0_ACCESS, algorithm="PS256"),
    Token("Auth0", "ID", {**AUTH0_ACCESS, "aud": "client", "nonce": "n"}, "wrong_audience"),
    Token("Auth0", "access, issuer without its slash", {**AUTH0_ACCESS, "iss": AUTH0[:-1]}, "wrong_issuer"),
    Token("Auth0", "access of an API with HS256", AUTH0_ACCESS, "algorithm_not_allowed", "HS256"),
    Token("Supabase Auth", "session, ES256", _supabase(), algorithm="ES256"),
    Token("Supabase Auth", "session, RS256", _supabase()),
    Token("Supabase Auth", "session, legacy secret", _supabase(), "algorithm_not_allowed", "HS256"),
    Token("Supabase Auth", "for another audience", _supabase(aud="other"), "wrong_audience", "ES256"),
    Token("Supabase Auth", "another project", _supabase(iss="https://x.supabase.co/auth/v1"), "wrong_issuer", "ES256"),
    Token("Firebase Authentication", "ID", FIREBASE_ID),
    Token("Firebase Authentication", "ID, another project", {**FIREBASE_ID, "iss": f"{FIREBASE}-2"}, "wrong_issuer"),
    Token("Firebase Authentication", "ID, another key", FIREBASE_ID, "unknown_key", header={"kid": "rotated"}),
    Token("Amazon Cognito", "ID", COGNITO_ID),
    Token("Amazon Cognito", "access", COGNITO_ACCESS),
    Token("Amazon Cognito", "access, another app", {**COGNITO_ACCESS, "client_id": "other"}, "wrong_audience"),
    Token("Amazon Cognito", "ID, another app", {**COGNITO_ID, "aud": "other"}, "wrong_audience"),
    Token("Keycloak", "access with an audience mapper", KEYCLOAK_ACCESS),
    Token("Keycloak", "access without aud", {**KEYCLOAK_ACCESS, "aud": None}),
    Token("Keycloak", "access as a new realm makes it", {**KEYCLOAK_ACCESS, "aud": "account"}, "wrong_audience"),
    Token("Keycloak", "ID", {**KEYCLOAK_ACCESS, "aud": "my-app", "typ": "ID"}),
    Token("Keycloak", "access, ES384", KEYCLOAK_ACCESS, algorithm="ES384"),
    Token("Keycloak", "access, ES512", KEYCLOAK_ACCESS, algorithm="ES512"),
    Token("Keycloak", "access, RS512", KEYCLOAK_ACCESS, algorithm="RS512"),
    Token("Keycloak", "access, EdDSA", KEYCLOAK_ACCESS, algorithm="EdDSA"),
    Token("Keycloak", "access, Ed25519", KEYCLOAK_ACCESS, algorithm="Ed25519"),
    Token("Keycloak", "refresh", KEYCLOAK_ACCESS, "algorithm_not_allowed", "HS256"),
    Token("Keycloak", "service account without a user", {**KEYCLOAK_ACCESS, "sub": None}, "no_user"),
    Token("Okta", "access", OKTA_ACCESS),
    Token("Okta", "ID", {**OKTA_ACCESS, "aud": "0oa1", "uid": None}, "wrong_audience"),
    Token("Okta", "access of a service", {**OKTA_ACCESS, "uid": None}, "no_user"),
    Token("Okta", "access of the org server", {**OKTA_ACCESS, "iss": "https://example.okta.com"}, "wrong_issuer"),
    Token("Microsoft Entra ID", "access v2.0", _entra(V2, aud=APP, azp="spa", ver="2.0", scp="access")),
    Token(
        "Microsoft Entra ID", "access v1.0", _entra(V1, aud=f"api://{APP}", appid="spa", ver="1.0"), header={"x5t": "x"}
    ),
    Token("Microsoft Entra ID", "ID v2.0", _entra(V2, aud=APP, ver="2.0", nonce="n")),
    Token("Microsoft Entra ID", "for Graph", _entra(V1, aud="00000003-0000-0000-c000-000000000000"), "wrong_audience"),
    Token("Microsoft Entra ID", "another tenant", _entra(V2.replace("1111", "9999"), aud=APP), "wrong_issuer"),
    Token("Google", "ID", GOOGLE_ID),
    Token("Google", "ID, issuer without scheme", {**GOOGLE_ID, "iss": "accounts.google.com"}),
    Token("Google", "ID, another app", {**GOOGLE_ID, "aud": "other.apps.googleusercontent.com"}, "wrong_audience"),
    Token("WorkOS AuthKit", "access", _workos()),
    Token("WorkOS AuthKit", "access, older issuer", _workos(iss="https://api.workos.com")),
    Token("WorkOS AuthKit", "access of a JWT template with aud", _workos(aud="convex"), "wrong_audience"),
    Token("WorkOS AuthKit", "another environment", _workos(iss=f"{WORKOS}2"), "wrong_issuer"),
    Token("WorkOS AuthKit", "another environment's key", _workos(), "bad_signature", key="stranger"),
    Token("Descope", "session", _descope("P2Example")),
    Token("Descope", "session, AWS API Gateway template", _descope("https://api.descope.com/P2Example")),
    Token("Descope", "session of an OIDC app", _descope("https://api.descope.com/v1/apps/P2Example")),
    Token("Descope", "another project", _descope("P2Other"), "wrong_issuer"),
    Token("Stytch", "session", STYTCH_SESSION),
    Token("Stytch", "another project", {**STYTCH_SESSION, "aud": ["project-live-other"]}, "wrong_audience"),
    Token("Kinde", "access", KINDE_ACCESS),
    Token("Kinde", "access for an API", {**KINDE_ACCESS, "aud": ["https://api.example.com"]}),
    Token("Kinde", "ID", {**KINDE_ACCESS, "aud": [KINDE, KINDE_APP]}),
    Token("Kinde", "access, another app", {**KINDE_ACCESS, "azp": "other"}, "wrong_audience"),
)
NAMES = sorted({token.provider for token in TOKENS})


class Stored:
    """A database without keys."""

    async def load_keys(self, _url: str) -> StoredKeys | None:
        """Return none."""
        return None

    async def save_keys(self, _keys: StoredKeys) -> None:
        """Forget them."""


@cache
def documents() -> dict[str, bytes]:
    """Return what is published at each provider's URL: one key for each algorithm of its tokens."""
    found = {}
    for name in NAMES:
        algorithms = {token.algorithm for token in TOKENS if token.provider == name} - {"HS256"}
        found[documented()[name]["HOOKCAST_TOKEN_JWKS_URL"]] = published(name, algorithms)
    return found


def _answer(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=documents()[str(request.url)])


def gate(*names: str, secrets: tuple[str, ...] = ()) -> Gate:
    """Return a gate with the documented settings of these providers."""
    client = httpx.AsyncClient(transport=httpx.MockTransport(_answer), trust_env=False)

    def keys(url: str) -> PublishedKeys[Any]:
        return PublishedKeys(client, url, Stored(), lambda: datetime.now(UTC), parse_keys)

    trusts = settings_of(*names).providers
    return Gate(time.time, secrets=secrets, providers=[Provider(keys(trust.jwks_url), trust) for trust in trusts])


@cache
def signed(library: str) -> dict[str, str]:
    """Return all tokens that the library can sign, by name: one process makes them."""
    wanted = [token for token in TOKENS if library in makers_of(token.algorithm)]
    return dict(zip(map(str, wanted), make(library, wanted, time.time()), strict=True))


CASES = [
    pytest.param(library, token, id=f"{token}, {library}") for token in TOKENS for library in makers_of(token.algorithm)
]


@pytest.mark.parametrize(("library", "token"), CASES)
async def test_a_providers_token_is_accepted_or_refused_with_its_reason_in_the_log(library: str, token: Token) -> None:
    text = signed(library)[str(token)]
    with capture_logs() as lines:
        if not token.reason:
            assert (await gate(token.provider).admit(text)).sub == USER
        else:
            with pytest.raises(AccessError):
                await gate(token.provider).admit(text)
    assert [line["reason"] for line in lines] == ([token.reason] if token.reason else [])
    assert not any(part in str(lines) for part in (*text.split("."), USER))


@pytest.mark.parametrize("library", LIBRARIES)
async def test_all_providers_at_once_each_have_their_own_rules(library: str) -> None:
    every = gate(*NAMES)
    for token in TOKENS:
        text = signed(library).get(str(token))
        if text is None:
            continue
        if token.reason:
            with pytest.raises(AccessError):
                await every.admit(text)
        else:
            assert (await every.admit(text)).sub == USER


async def test_a_provider_cannot_speak_for_another() -> None:
    """The issuer selects the keys: those of another accepted provider do not count."""
    forged = Token("Stytch", "Supabase's user", _supabase(), "bad_signature", "ES256")
    unnamed = Token("Stytch", "Supabase's user", _supabase(), "unknown_key", "ES256", {"kid": "key-of-stytch"})
    for token in (forged, unnamed):
        [text] = make("PyJWT", [token], time.time())
        with capture_logs() as lines, pytest.raises(AccessError):
            await gate(*NAMES).admit(text)
        assert [line["reason"] for line in lines] == [token.reason]


@pytest.mark.parametrize("library", LIBRARIES)
async def test_supabases_legacy_secret_is_a_token_secret(library: str) -> None:
    token = next(token for token in TOKENS if token.kind == "session, legacy secret")
    assert (await gate("Supabase Auth", secrets=(SECRET,)).admit(signed(library)[str(token)])).sub == USER


def test_every_documented_provider_is_in_the_table() -> None:
    assert sorted(documented()) == NAMES
    assert len(TOKENS) > 60
