"""Identity providers as they are: their settings, as docs/access.md has them, their keys and their tokens."""

import base64
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from hookcast.settings import Settings

ROOT = Path(__file__).parents[2]
LIBRARIES = ("jose", "jsonwebtoken", "PyJWT")
_CURVES: dict[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
SECRET = "legacy-secret-of-a-project-0123456789-abcdef"
USER = "5f1b7a3c-user"


@dataclass(frozen=True)
class Token:
    """A token of a provider. `reason` is why it is refused, empty = accepted, as the user `USER`."""

    provider: str
    kind: str
    claims: dict[str, Any]
    reason: str = ""
    algorithm: str = "RS256"
    header: dict[str, Any] = field(default_factory=dict)
    expires_in: float = 600
    key: str = ""  # another provider's

    def __str__(self) -> str:
        return f"{self.provider}: {self.kind}"


@cache
def documented() -> dict[str, dict[str, str]]:
    """Return the settings of each provider by its heading in docs/access.md."""
    text = (ROOT / "docs" / "access.md").read_text()
    blocks = re.findall(r"^### ([^\n]+)\n\n```sh\n(HOOKCAST_TOKEN_JWKS.*?)```", text, re.MULTILINE | re.DOTALL)
    return {name: dict(line.split("=", 1) for line in shlex.split(lines)) for name, lines in blocks}


def settings_of(*names: str) -> Settings:
    """Return the settings that accept the tokens of these providers: their parts are joined by commas."""
    blocks = [documented()[name] for name in names]
    defaults = {"token_jwks_url": "", "token_issuer": "", "token_audience": "", "token_user_claim": "sub"}
    joined = {
        key: ",".join(block.get(f"HOOKCAST_{key.upper()}", default) for block in blocks)
        for key, default in defaults.items()
    }
    return Settings(**joined, _env_file=None)  # type: ignore[arg-type, call-arg]


@cache
def private_key(provider: str, algorithm: str) -> Any:
    """Return the key with which the provider signs. RSA keys are slow to make: two serve all providers."""
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm])
    if algorithm in {"EdDSA", "Ed25519"}:
        return ed25519.Ed25519PrivateKey.generate() if algorithm == "EdDSA" else private_key(provider, "EdDSA")
    return _rsa_key("of a stranger" if provider == "stranger" else "of the providers")


@cache
def _rsa_key(_name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def key_id(algorithm: str) -> str:
    """Return the `kid` of a provider's key."""
    return f"key-for-{algorithm}"


def jwk_of(key: Any) -> dict[str, Any]:
    """Return the private key as a JWK."""
    if isinstance(key, rsa.RSAPrivateKey):
        return RSAAlgorithm.to_jwk(key, as_dict=True)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return ECAlgorithm.to_jwk(key, as_dict=True)
    return OKPAlgorithm.to_jwk(key, as_dict=True)


def published(provider: str, algorithms: set[str]) -> bytes:
    """Return the document at the provider's JWKS URL, in the provider's own style."""
    if provider.startswith("Firebase"):
        return json.dumps({key_id("RS256"): certificate(private_key(provider, "RS256"))}).encode()
    keys = [_public(provider, algorithm) for algorithm in sorted(algorithms)]
    if provider == "Keycloak":
        keys.insert(0, {**_public(provider, "RS256"), "kid": "encryption", "use": "enc", "alg": "RSA-OAEP"})
    return json.dumps({"keys": keys, "request_id": "request-id-live-1", "status_code": 200}).encode()


def _public(provider: str, algorithm: str) -> dict[str, Any]:
    private = jwk_of(private_key(provider, algorithm))
    jwk = {name: value for name, value in private.items() if name in {"kty", "crv", "x", "y", "n", "e"}}
    style: dict[str, Any] = {"kid": key_id(algorithm), "use": "sig", "alg": algorithm}
    if provider == "Microsoft Entra ID":
        style = {"kid": key_id(algorithm), "use": "sig", "x5t": "x", "x5c": ["MIIC"], "issuer": "https://…/v2.0"}
    if provider in {"Supabase Auth", "Stytch"}:
        style["key_ops"] = ["verify"]
    return {**jwk, **style}


def certificate(key: Any, *, days: float = 10) -> str:
    """Return a self-signed certificate that expires in `days`, as PEM."""
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "securetoken")]), datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - timedelta(days=90))
    signed = builder.not_valid_after(now + timedelta(days=days)).sign(
        key, None if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) else hashes.SHA256()
    )
    return signed.public_bytes(Encoding.PEM).decode()


def make(library: str, tokens: list[Token], now: float) -> list[str]:
    """Return the tokens, signed with this library: the npm packages jose and jsonwebtoken, or PyJWT."""
    orders = [_order(token, now) for token in tokens]
    if library == "PyJWT":
        return [_signed_here(token, order) for token, order in zip(tokens, orders, strict=True)]
    wanted = json.dumps([{**order, "library": library} for order in orders])
    script = ROOT / "tests" / "clients" / "tokens.mjs"
    done = subprocess.run(["node", script], input=wanted, capture_output=True, text=True, check=True, timeout=60)
    return list(json.loads(done.stdout))


def _order(token: Token, now: float) -> dict[str, Any]:
    times = {"iat": int(now), "exp": int(now + token.expires_in)}
    header = {"alg": token.algorithm, "typ": "JWT", "kid": key_id(token.algorithm), **token.header}
    return {
        "header": {name: value for name, value in header.items() if value is not None},
        "claims": {name: value for name, value in {**times, **token.claims}.items() if value is not None},
        "key": _jwk_for(token),
    }


def _jwk_for(token: Token) -> dict[str, Any]:
    if token.algorithm == "HS256":
        return {"kty": "oct", "k": base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("=")}
    return jwk_of(private_key(token.key or token.provider, token.algorithm))


def _signed_here(token: Token, order: dict[str, Any]) -> str:
    symmetric = token.algorithm == "HS256"
    key = SECRET if symmetric else private_key(token.key or token.provider, token.algorithm)
    return jwt.encode(order["claims"], key, algorithm=token.algorithm, headers=order["header"])


def makers_of(algorithm: str) -> Iterator[str]:
    """Yield the libraries that can sign with the algorithm."""
    for library in LIBRARIES:
        lacks = {"jsonwebtoken": {"EdDSA", "Ed25519"}, "PyJWT": {"Ed25519"}}.get(library, set())
        if algorithm not in lacks:
            yield library
