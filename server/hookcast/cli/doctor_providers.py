"""The doctor's checks of identity providers: that their keys can be used, whose they are, and their clock."""

import asyncio
import time
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import msgspec
from msgspec import Struct

from hookcast.auth.published import Keys, parse_keys
from hookcast.cli.findings import Finding, Level
from hookcast.jwks import check_size
from hookcast.settings import PREFIX, Settings
from hookcast.trust import Trust

SUBJECT = "provider"
SKEW_SECONDS = (10.0, 30.0)  # warn, fail: tokens may live for a minute, and `nbf` is allowed to be 30 s ahead
_URL, _ISSUER, _SECRET = f"{PREFIX}TOKEN_JWKS_URL", f"{PREFIX}TOKEN_ISSUER", f"{PREFIX}TOKEN_SECRET"
_DISCOVERY = "/.well-known/openid-configuration"
# The paths of keys, and of the discovery document beside them, from the same base: of most, Keycloak, Okta, Entra ID.
_BESIDE = {
    "/.well-known/jwks.json": _DISCOVERY,
    "/.well-known/jwks": _DISCOVERY,
    "/protocol/openid-connect/certs": _DISCOVERY,
    "/v1/keys": _DISCOVERY,
    "/discovery/v2.0/keys": f"/v2.0{_DISCOVERY}",
}


class Discovery(Struct):
    """The members of a discovery document (OpenID Connect Discovery 1.0) that say whose keys are where."""

    issuer: str
    jwks_uri: str


class _Jwks(Struct):
    keys: list[dict[str, Any]]


async def look(settings: Settings, web: httpx.AsyncClient) -> list[Finding]:
    """Return the findings about each provider."""
    found = await asyncio.gather(*(_look_at(trust, web) for trust in settings.providers))
    return [finding for findings in found for finding in findings]


async def _look_at(trust: Trust, web: httpx.AsyncClient) -> list[Finding]:
    answer, discovered = await asyncio.gather(_get(web, trust.jwks_url), _discover(trust, web))
    if isinstance(answer, str):
        advice = "check the address, and outgoing connections (firewall, proxy, DNS)"
        return [_fail(f"{trust.jwks_url} does not answer ({answer}); {advice}")]
    trouble = _wrong_answer(answer, discovered)
    if trouble:
        return [_fail(f"{trust.jwks_url} {trouble}"), *_clock(answer)]
    keys = parse_keys(answer.content)
    wrong = _wrong_issuer(trust, discovered) or await _foreign_keys(trust, keys, discovered, web)
    found = [_fail(wrong)] if wrong else [_of_keys(trust, keys, discovered)]
    return [*found, *_unaddressed(trust), *_unwanted(trust, answer), *_clock(answer)]


async def _get(web: httpx.AsyncClient, url: str) -> httpx.Response | str:
    """Return the answer, or the kind of the failure."""
    try:
        return await web.get(url)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return type(error).__name__


async def _discover(trust: Trust, web: httpx.AsyncClient) -> Discovery | None:
    """Return the discovery document of the issuer; without one, that beside the keys."""
    places = [issuer.rstrip("/") + _DISCOVERY for issuer in trust.issuers if issuer.startswith("http")]
    places += [
        trust.jwks_url.removesuffix(end) + beside for end, beside in _BESIDE.items() if trust.jwks_url.endswith(end)
    ]
    answers = await asyncio.gather(*(_get(web, place) for place in dict.fromkeys(places)))
    return next((found for answer in answers if (found := _discovery(answer)) is not None), None)


def _discovery(answer: httpx.Response | str) -> Discovery | None:
    try:
        return None if isinstance(answer, str) else msgspec.json.decode(answer.content, type=Discovery)
    except (msgspec.DecodeError, RecursionError):
        return None


def _wrong_answer(answer: httpx.Response, discovered: Discovery | None) -> str | None:
    """Return what is wrong with the answer for the keys, as the end of a sentence that begins with their URL."""
    right = "" if discovered is None else f"; the provider's discovery document names {_URL}={discovered.jwks_uri}"
    if answer.is_redirect:
        return f"redirects to {answer.headers.get('location', 'nowhere')}; set the final address"
    if answer.status_code != httpx.codes.OK:
        return f"answers {answer.status_code}; check the address, and the tenant, project or realm in it{right}"
    try:
        check_size(answer.content)
    except ValueError as error:
        return f"cannot be used: {error}{right}"
    if answer.content.lstrip()[:1] == b"<":
        return f"answers with a web page, not with keys: it is the wrong address, or that of a login or firewall{right}"
    document = _discovery(answer)
    if document is not None:
        return f"is the discovery document, not the keys; set {_URL}={document.jwks_uri}"
    return _wrong_keys(answer.content, right)


def _wrong_keys(content: bytes, right: str) -> str | None:
    try:
        keys = parse_keys(content)
    except ValueError:
        return _why_unusable(content) + right
    if all(key.until <= time.time() for key in keys):
        return "has only expired certificates; check this machine's clock, and whether the address is still in use"
    return None


def _why_unusable(content: bytes) -> str:
    """Return why none of the published keys can be used."""
    keys = _jwks(content)
    if keys is None:
        return "answers with neither a JWKS (`keys`) nor certificates; check the address"
    shared = f"set {_SECRET} to that secret, or switch the provider to asymmetric keys (RS256, ES256 …)"
    if not keys:
        return f"publishes no keys: the provider signs with a shared secret; {shared}"
    if all(key.get("kty") == "oct" for key in keys):
        return f"publishes only a symmetric key: anyone could sign with it. Replace it; then {shared}"
    if all("d" in key for key in keys):
        return "publishes private keys: anyone can sign with them. Replace them, and publish the public parts only"
    if all(key.get("use") == "enc" for key in keys):
        return "publishes only keys for encryption; check the address"
    return "publishes no usable key: RSA of 2048 bits or more, P-256, P-384, P-521, Ed25519 or Ed448, for signatures"


def _jwks(content: bytes) -> list[dict[str, Any]] | None:
    try:
        return msgspec.json.decode(content, type=_Jwks).keys
    except (msgspec.DecodeError, RecursionError):
        return None


def _wrong_issuer(trust: Trust, discovered: Discovery | None) -> str | None:
    """Return a sentence if the provider's own name is not among the accepted issuers."""
    urls = [issuer for issuer in trust.issuers if issuer.startswith("http")]
    if discovered is None or discovered.issuer in trust.issuers or not urls:  # Descope's `iss` may be a project's id
        return None
    named, given = discovered.issuer, " ".join(trust.issuers)
    if "{" in named:
        return f"{given} is no single tenant: replace `common` in {_ISSUER} and {_URL} by your tenant's id"
    if named.rstrip("/") in {issuer.rstrip("/") for issuer in trust.issuers}:
        how = "with a slash" if named.endswith("/") else "without a slash"
        return f"the issuer is written {how} at its end; set {_ISSUER}={named}"
    return f"the provider's `iss` is {named}, not {given}; set {_ISSUER}={named}, or correct the tenant in {_URL}"


async def _foreign_keys(trust: Trust, keys: Keys, discovered: Discovery | None, web: httpx.AsyncClient) -> str | None:
    """Return a sentence if the issuer publishes other keys at another address."""
    if discovered is None or discovered.jwks_uri == trust.jwks_url:
        return None
    answer = await _get(web, discovered.jwks_uri)
    try:
        own = None if isinstance(answer, str) else parse_keys(answer.content)
    except ValueError:
        own = None
    if own is None or {key.key_id for key in own} & {key.key_id for key in keys}:
        return None
    return f"{trust.jwks_url} has the keys of another tenant than {discovered.issuer}; set {_URL}={discovered.jwks_uri}"


def _of_keys(trust: Trust, keys: Keys, discovered: Discovery | None) -> Finding:
    algorithms = ", ".join(sorted({min(key.algorithms) if len(key.algorithms) < 3 else "RSA" for key in keys}))
    whose = "" if discovered else "; it has no discovery document, so the issuer could not be checked"
    count = "1 key" if len(keys) == 1 else f"{len(keys)} keys"
    return Finding(Level.OK, SUBJECT, f"{trust.jwks_url} returns {count} ({algorithms}){whose}")


def _unaddressed(trust: Trust) -> list[Finding]:
    """Warn where any application of the issuer is accepted: right for some providers, so the server says nothing."""
    text = (
        f"no {PREFIX}TOKEN_AUDIENCE is set for {trust.issuers[0]}: tokens with an `aud` are refused, and those without "
        "one are accepted from every application of this issuer. Set it unless the issuer is yours alone"
    )
    return [] if trust.audiences else [Finding(Level.WARN, SUBJECT, text)]


def _unwanted(trust: Trust, answer: httpx.Response) -> list[Finding]:
    """Warn of secret keys among usable ones: they are ignored, and should not be public."""
    secret = any(key.get("kty") == "oct" or "d" in key for key in _jwks(answer.content) or [])
    text = (
        f"{trust.jwks_url} publishes a symmetric or private key, which is ignored: anyone can sign with it; remove it"
    )
    return [Finding(Level.WARN, SUBJECT, text)] if secret else []


def _clock(answer: httpx.Response) -> list[Finding]:
    """Compare this machine's clock with the provider's; a cache tells in `Age` how old the answer is."""
    try:
        date = parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
        skew = time.time() - date - float(answer.headers.get("age", "0"))
    except (ValueError, TypeError):
        return []
    warn, fail = SKEW_SECONDS
    if abs(skew) < warn:
        return []
    way, effect = ("ahead of", "tokens expire too early") if skew > 0 else ("behind", "new tokens are not valid yet")
    text = f"{abs(skew):.0f} s {way} the identity provider's clock: {effect}; set up NTP"
    return [Finding(Level.FAIL if abs(skew) >= fail else Level.WARN, "clock", text)]


def _fail(text: str) -> Finding:
    return Finding(Level.FAIL, SUBJECT, text)
