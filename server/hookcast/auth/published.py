"""The signing keys that an identity provider publishes: a JWKS (RFC 7517), or an object of X.509 certificates; pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jwt
import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from msgspec import Raw, Struct

from hookcast.jwks import split_jwks

RSA_BITS = 2048  # RFC 7518 section 3.3: at least
_RSA = frozenset(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"))
_ED25519, _ED448 = frozenset(("EdDSA", "Ed25519")), frozenset(("EdDSA", "Ed448"))
_CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_BY_NAME = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """A public key: `material` is cryptography's, `algorithms` are those it is for, `until` is in unix seconds."""

    material: Any
    algorithms: frozenset[str]
    key_id: str | None
    until: float = math.inf


Keys = tuple[Key, ...]


class _Jwk(Struct):
    """The members that a usable key has. A key published with its private part, `d`, is compromised: not accepted."""

    kty: Literal["RSA", "EC", "OKP"]
    crv: str | None = None
    alg: str | None = None
    use: Literal["sig"] | None = None
    key_ops: list[str] | None = None
    kid: str | None = None
    d: None = None


def parse_keys(document: bytes) -> Keys:
    """Return the usable signing keys of a JWKS or of certificates. Raises ValueError when there is none."""
    certificates = _certificates(document)
    if certificates is None:
        found = [_of_jwk(raw) for raw in split_jwks(document)]
    else:
        found = [_of_certificate(key_id, pem) for key_id, pem in certificates.items()]
    keys = tuple(key for key in found if key is not None)
    if not keys:
        raise ValueError("no key for RS256, ES256, EdDSA or another asymmetric signature")
    return keys


def _certificates(document: bytes) -> Mapping[str, str] | None:
    """Return the certificates by key id, as Google publishes Firebase's; None = the document is something else."""
    try:
        found = msgspec.json.decode(document, type=dict[str, str])
    except (msgspec.DecodeError, RecursionError):
        return None
    return found if any("BEGIN CERTIFICATE" in pem for pem in found.values()) else None


def _of_jwk(raw: Raw) -> Key | None:
    """Return the key, or None to ignore one that is not understood (RFC 7517 section 5)."""
    try:
        jwk = msgspec.json.decode(raw, type=_Jwk)
        if jwk.key_ops is not None and "verify" not in jwk.key_ops:
            return None
        algorithms = _algorithms_of(jwk)
        if not algorithms:
            return None
        material = jwt.PyJWK(msgspec.json.decode(raw), algorithm=min(algorithms - {"Ed25519", "Ed448"})).key
    except (msgspec.DecodeError, jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return None
    return _key(material, algorithms, jwk.kid)


def _algorithms_of(jwk: _Jwk) -> frozenset[str]:
    """Return the algorithms that the key is for: those of its type and curve, or the one that it names."""
    if jwk.kty == "RSA":
        fitting = _RSA
    elif jwk.kty == "EC":
        fitting = frozenset(name for curve, name in _CURVES.items() if curve == jwk.crv)
    else:
        fitting = {"Ed25519": _ED25519, "Ed448": _ED448}.get(jwk.crv or "", frozenset())
    if jwk.alg is None or (jwk.kty == "OKP" and jwk.alg in fitting):
        return fitting
    return fitting & {jwk.alg}


def _of_certificate(key_id: str, pem: str) -> Key | None:
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        material = certificate.public_key()
    except (ValueError, TypeError):
        return None
    algorithms: frozenset[str] = frozenset()
    if isinstance(material, rsa.RSAPublicKey):
        algorithms = _RSA
    elif isinstance(material, ec.EllipticCurvePublicKey):
        algorithms = frozenset({_BY_NAME[material.curve.name]} if material.curve.name in _BY_NAME else ())
    elif isinstance(material, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        algorithms = _ED25519 if isinstance(material, ed25519.Ed25519PublicKey) else _ED448
    return _key(material, algorithms, key_id, certificate.not_valid_after_utc.timestamp())


def _key(material: Any, algorithms: frozenset[str], key_id: str | None, until: float = math.inf) -> Key | None:
    weak = isinstance(material, rsa.RSAPublicKey) and material.key_size < RSA_BITS
    return None if weak or not algorithms else Key(material, algorithms, key_id, until)
