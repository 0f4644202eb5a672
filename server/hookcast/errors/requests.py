"""Requests that are not valid, and limits of clients."""

from hookcast.errors.base import HookcastError


class RequestError(HookcastError):
    """The request cannot be processed as it is."""


class InvalidRequest(RequestError):
    """A body, query or header value is missing or has the wrong shape."""

    status = 422
    code = "invalid_request"
    title = "The request is not valid"


class UpgradeRequired(RequestError):
    """The path accepts WebSocket connections only."""

    status = 426
    code = "upgrade_required"
    title = "WebSocket only"


class BadPath(RequestError):
    """The requestId in the path cannot name a job."""

    status = 400
    code = "invalid_path"
    title = "The requestId is not valid"


class BodyTooLarge(RequestError):
    """The body exceeds the limit; it was not read to its end."""

    status = 413
    code = "too_large"
    title = "The body is too large"


class BodyTimeout(RequestError):
    """The body did not arrive in time."""

    status = 408
    code = "body_timeout"
    title = "The body did not arrive in time"


class BadRequest(RequestError):
    """The bytes are not an HTTP/1.1 request (RFC 9112)."""

    status = 400
    code = "bad_request"
    title = "The request is not HTTP"


class UrlTooLong(RequestError):
    """The request target exceeds the limit (RFC 9110 section 15.5.15)."""

    status = 414
    code = "url_too_long"
    title = "The URL is too long"


class HeadTooLarge(RequestError):
    """The request's header fields exceed the limit in number or size (RFC 6585 section 5)."""

    status = 431
    code = "headers_too_large"
    title = "The headers are too large"


class HeadTimeout(RequestError):
    """The request head did not arrive in time."""

    status = 408
    code = "request_timeout"
    title = "The request did not arrive in time"


class LimitReached(HookcastError):
    """A client has reached a limit; the same request may be repeated after `retry_after` seconds."""

    status = 429

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooManyStreamsOfClient(LimitReached):
    """The client's address, or its token, has reached its limit of open streams."""

    code = "too_many_streams_of_client"
    title = "This client has too many streams"


class RateLimited(LimitReached):
    """The caller exceeds the rate limit for requests of this kind."""

    code = "rate_limited"
    title = "Too many requests"
