"""Access that is denied."""

from hookcast.errors.base import HookcastError


class AccessError(HookcastError):
    """The caller may not do this."""


class Unauthorized(AccessError):
    """The request has no API key and no token, or none that is known."""

    status = 401
    code = "unauthorized"
    title = "An API key or a token is required"


class TokenInvalid(AccessError):
    """The token was not made for this server, or not as documented."""

    status = 401
    code = "token_invalid"
    title = "The token is not accepted"


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
