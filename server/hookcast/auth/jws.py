"""Signed tokens in their compact form (RFC 7515, RFC 7519): parsed, then verified with a key; pure."""

import json
from binascii import a2b_base64, b2a_base64
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import jwt
import msgspec

from hookcast.errors import Refusal, TokenInvalid

HS256 = "HS256"
# RFC 9864 names the curves that EdDSA (RFC 8037) leaves open; the signatures are the same.
_EDDSA = jwt.get_algorithm_by_name("EdDSA")
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_EC = ("ES256", "ES384", "ES512")
ASYMMETRIC = {
    **{name: jwt.get_algorithm_by_name(name) for name in (*_RSA, *_EC)},
    **dict.fromkeys(("EdDSA", "Ed25519", "Ed448"), _EDDSA),
}
"""The algorithms of tokens that an identity provider signs. None is symmetric: its keys are public."""

_ALL = {**ASYMMETRIC, HS256: jwt.get_algorithm_by_name(HS256)}
_JWS = jwt.PyJWS()
_KEPT_HEADERS = 64
_KEPT_CHARACTERS = 256  # of a header that is kept
_TO_BASE64, _TO_BASE64URL = bytes.maketrans(b"-_", b"+/"), bytes.maketrans(b"+/", b"-_")


@dataclass(frozen=True, slots=True)
class Signed:
    """A token as received. `algorithm`, `key_id` and `issuer` are claimed by its sender: use them to choose a key."""

    algorithm: str
    key_id: str | None
    issuer: str | None
    _input: bytes = field(repr=False)
    _signature: bytes = field(repr=False)
    _claims: dict[str, Any] = field(repr=False)

    def claims(self, key: Any) -> dict[str, Any] | None:
        """Return the claims if this key made the signature, else None. The key must be one for `algorithm`."""
        try:
            return self._claims if _ALL[self.algorithm].verify(self._input, key, self._signature) else None
        except (ValueError, TypeError):  # a signature of impossible size
            return None


def parse(token: str) -> Signed:
    """Return the token's parts. Raises TokenInvalid."""
    signing_input, _, signature = token.rpartition(".")
    header, _, payload = signing_input.partition(".")
    try:
        algorithm, key_id = (_kept_header if len(header) <= _KEPT_CHARACTERS else _header)(header)
        claims = _json(_decoded(payload))
        signed_with = _decoded(signature)
    except (jwt.PyJWTError, ValueError, KeyError, RecursionError):
        raise _malformed() from None
    if not isinstance(claims, dict) or not isinstance(algorithm, str):
        raise _malformed()
    issuer = claims.get("iss")
    return Signed(
        algorithm, key_id, issuer if isinstance(issuer, str) else None, signing_input.encode(), signed_with, claims
    )


def _header(text: str) -> tuple[Any, Any]:
    """Return the algorithm and the key's id of a header. Raises PyJWTError and KeyError."""
    header = _JWS.get_unverified_header(f"{text}.e30.")
    return header["alg"], header.get("kid")


# All tokens of an issuer have the same header.
_kept_header = lru_cache(_KEPT_HEADERS)(_header)


def _json(text: bytes) -> Any:
    """Return the value of JSON text. Raises ValueError.

    Python's parser accepts more, such as half a surrogate pair in a claim that does not count here, at ten times the
    cost.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return json.loads(text)


def _decoded(text: str) -> bytes:
    """Decode base64url (RFC 7515 section 2), padded or not. Raises ValueError for any other text than its encoding."""
    bare = text.rstrip("=")
    padded = (bare + "=" * (-len(bare) % 4)).encode("ascii")
    decoded = a2b_base64(padded.translate(_TO_BASE64))  # skips what is not of its alphabet
    again = b2a_base64(decoded, newline=False).translate(_TO_BASE64URL)
    if again != padded or len(text) not in {len(bare), len(padded)}:
        raise ValueError("not base64url")
    return decoded


def _malformed() -> TokenInvalid:
    return TokenInvalid("The token is not a signed JWT.", Refusal.MALFORMED)
