"""Stream tokens: JWTs (RFC 7519), HS256 with a secret of `HOOKCAST_TOKEN_SECRET`, which any JWT library can make; pure.

Claims: `exp` (required), and what the token shows: `jobs` (requestIds), `groups`, `sub` (the owner of jobs).
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import jwt
import msgspec
from msgspec import Meta, Struct

from hookcast.auth.caller import Caller
from hookcast.auth.jws import HS256, Signed
from hookcast.errors import InvalidRequest, Refusal, TokenExpired, TokenInvalid

LEEWAY_SECONDS = 30.0  # clock skew allowed for `nbf`; none for `exp`, since access ends with it
MAX_EXP = 1e11  # the year 5138; read as milliseconds, a common mistake in `exp`, 1973
MAX_CREDENTIAL = 16 * 1024  # characters of a token or key: what fits into a request head
# No control characters, and no lone surrogates, which JSON can express and no database accepts.
Name = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f\ud800-\udfff]+(?!\n)$")]
_LISTS = ("jobs", "groups")


class Grant(Struct, frozen=True):
    """The jobs that a token shows. Owners and groups are compared verbatim."""

    sub: Name | None = None
    jobs: frozenset[Name] = frozenset()
    groups: frozenset[Name] = frozenset()


class _Claims(Grant, frozen=True, kw_only=True):
    exp: float
    nbf: float = 0.0


def mint(grant: Grant, secret: str, *, expires_at: datetime) -> str:
    """Return a token that shows `grant` until `expires_at` (whole seconds).

    Raises InvalidRequest when `read` would not accept it.
    """
    claims: dict[str, Any] = {"exp": int(expires_at.timestamp())}
    if grant.sub is not None:
        claims["sub"] = grant.sub
    if grant.jobs:
        claims["jobs"] = sorted(grant.jobs)
    if grant.groups:
        claims["groups"] = sorted(grant.groups)
    try:
        msgspec.convert(claims, Grant)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The token cannot be created: {error}.") from None
    token = jwt.encode(claims, secret, algorithm=HS256)
    if len(token) > MAX_CREDENTIAL:
        raise InvalidRequest(f"The token would have more than {MAX_CREDENTIAL} characters: name fewer jobs and groups.")
    return token


def read(token: Signed, secrets: Sequence[str], *, now: float) -> Caller:
    """Return the caller of a token that one of our secrets signed. Raises TokenInvalid and TokenExpired."""
    for secret in secrets:
        claims = token.claims(secret.encode())
        if claims is not None:
            return caller(claims, now=now)
    raise TokenInvalid("The token is not valid for this server; get a new one.", Refusal.BAD_SIGNATURE)


def caller(claims: Mapping[str, Any], *, now: float) -> Caller:
    """Return the caller that verified claims stand for. Raises TokenInvalid and TokenExpired."""
    try:
        found = _known(claims)
    except msgspec.ValidationError as error:
        raise TokenInvalid(f"The token's claims are not valid: {error}.") from None
    if not math.isfinite(found.exp):  # Python's JSON reads Infinity and 1e400
        raise TokenInvalid("The token's claims are not valid: exp is not a time.")
    if found.exp >= MAX_EXP or found.nbf >= MAX_EXP:
        raise TokenInvalid("The token's exp and nbf must be in seconds since 1970, not in milliseconds.")
    if found.exp <= now:
        raise TokenExpired("The token has expired; get a new one.")
    if not found.nbf <= now + LEEWAY_SECONDS:
        raise TokenInvalid("The token is not valid yet.", Refusal.NOT_YET_VALID)
    name = hashlib.sha256(repr((found.sub, sorted(found.jobs), sorted(found.groups))).encode()).hexdigest()
    return Caller(sub=found.sub, jobs=found.jobs, groups=found.groups, expires_at=found.exp, name=f"token:{name[:32]}")


def _known(claims: Mapping[str, Any]) -> _Claims:
    """Return the claims that count here. Raises msgspec.ValidationError.

    A token with a `sub` may have `jobs` and `groups` of another shape, which show nothing: providers that sign with a
    shared secret (Supabase's legacy one) have claims of these names for purposes of their own.
    """
    if isinstance(claims.get("sub"), str):
        claims = {name: value for name, value in claims.items() if name not in _LISTS or _is_names(value)}
    return msgspec.convert(claims, _Claims)


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)
