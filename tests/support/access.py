"""Credentials of every kind, valid and invalid, for a server with authentication."""

import json
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

API_KEY = "key-of-the-backend-0123456789"
SECOND_KEY = "second-key-9876543210"
SECRET = "secret-of-the-tokens-0123456789-abcdefgh"
JWKS_PATH = "/idp/jwks.json"
ISSUER = "https://project.idp.test/auth/v1"
AUDIENCE = "authenticated"
SETTINGS = {
    "api_keys": f"{API_KEY}, {SECOND_KEY}",
    "token_secret": SECRET,
    "token_jwks_url": f"https://project.idp.test{JWKS_PATH}",
    "token_issuer": ISSUER,
    "token_audience": AUDIENCE,
}
A_DAY = 86_400  # long: many tokens are made at import of a test module and used much later
ADMIN = {"Authorization": f"Bearer {API_KEY}"}


def token(key: Any = SECRET, *, algorithm: str = "HS256", expires_in: float | None = A_DAY, **claims: Any) -> str:
    """Return a token as any JWT library makes it; `expires_in` None = without expiry."""
    if expires_in is not None:
        claims["exp"] = int(time.time() + expires_in)
    return jwt.encode(claims, key, algorithm=algorithm)


def unsigned(**claims: Any) -> str:
    """Return a token with `alg: none` in its header."""
    return token(None, algorithm="none", **claims)


@dataclass
class IdentityProvider:
    """Signs with one key of each algorithm, and publishes them."""

    keys: dict[str, PrivateKeyTypes] = field(
        default_factory=lambda: {
            "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
            "ES256": ec.generate_private_key(ec.SECP256R1()),
            "EdDSA": ed25519.Ed25519PrivateKey.generate(),
        }
    )
    generation: int = 1

    def document(self) -> bytes:
        """Return the JWKS."""
        makers = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}
        public = {name: key.public_key() for name, key in self.keys.items()}
        keys = [
            {**json.loads(makers[name].to_jwk(key)), "kid": self.kid(name), "alg": name, "use": "sig"}  # type: ignore[attr-defined]
            for name, key in public.items()
        ]
        return json.dumps({"keys": keys}).encode()

    def answer(self) -> httpx.Response:
        """Return the response of the JWKS endpoint."""
        return httpx.Response(200, content=self.document())

    def kid(self, algorithm: str) -> str:
        """Return the key's id."""
        return f"{algorithm}-{self.generation}"

    def token(
        self, algorithm: str = "RS256", *, expires_in: float = A_DAY, kid: str | None = None, **claims: Any
    ) -> str:
        """Return a user's token, for `user-1` unless the claims override it."""
        told = {"iss": ISSUER, "aud": AUDIENCE, "sub": "user-1", "exp": int(time.time() + expires_in), **claims}
        named = {"kid": kid or self.kid(algorithm)}
        return jwt.encode(told, self.keys[algorithm], algorithm=algorithm, headers=named)  # type: ignore[arg-type]

    def public_pem(self) -> bytes:
        """Return the public RSA key as PEM."""
        return self.keys["RS256"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
