"""Access that is denied."""

from enum import StrEnum

from hookcast.errors.base import HookcastError


class AccessError(HookcastError):
    """The caller may not do this."""


class Unauthorized(AccessError):
    """The request has no API key and no token, or none that is known."""

    status = 401
    code = "unauthorized"
    title = "An API key or a token is required"


class Refusal(StrEnum):
    """Why a token is refused, for the log; stable."""

    NOT_A_TOKEN = "not_a_token"  # noqa: S105 - a code
    MALFORMED = "malformed"
    ALGORITHM_NOT_ALLOWED = "algorithm_not_allowed"
    WRONG_ISSUER = "wrong_issuer"
    UNKNOWN_KEY = "unknown_key"
    BAD_SIGNATURE = "bad_signature"
    WRONG_AUDIENCE = "wrong_audience"
    NO_USER = "no_user"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"


class TokenInvalid(AccessError):
    """The token was not made for this server, or not as documented. `facts` help to find out why; none is secret."""

    status = 401
    code = "token_invalid"
    title = "The token is not accepted"

    def __init__(self, message: str, refusal: Refusal = Refusal.MALFORMED, **facts: str) -> None:
        super().__init__(message)
        self.refusal = refusal
        self.facts = facts


class TokenExpired(AccessError):
    """The token has expired."""

    status = 401
    code = "token_expired"
    title = "The token has expired"


class Forbidden(AccessError):
    """The caller is authenticated but not allowed to do this."""

    status = 403
    code = "forbidden"
    title = "Not allowed"


class OriginNotAllowed(AccessError):
    """The request comes from a page whose origin is not allowed."""

    status = 403
    code = "origin_not_allowed"
    title = "The page's origin is not allowed"


class NoTokenSecret(HookcastError):
    """The server has no secret for signing tokens."""

    status = 409
    code = "no_token_secret"
    title = "The server cannot create tokens"
