"""The exception hierarchy; `routes/problems.py` turns it into problem details (RFC 9457).

HookcastError
├── RequestError            the request is invalid
│   ├── InvalidRequest          422
│   ├── BadPath                 400
│   ├── UpgradeRequired         426
│   ├── BodyTooLarge            413
│   ├── BodyTimeout             408
│   ├── BadRequest              400, not HTTP/1.1
│   ├── UrlTooLong              414
│   ├── HeadTooLarge            431
│   └── HeadTimeout             408
├── AccessError             the caller may not do this
│   ├── Unauthorized            401
│   ├── TokenInvalid            401
│   ├── TokenExpired            401
│   ├── Forbidden               403
│   └── OriginNotAllowed        403
├── LimitReached            the client has reached a limit: retry after `retry_after` seconds
│   ├── TooManyStreamsOfClient  429
│   └── RateLimited             429
├── JobNotFound             404
├── UnknownToFal            404
├── AlreadyTerminal         409
├── IdempotencyConflict     409
├── IdempotencyMismatch     422
├── SubmitOutcomeUnknown    409
├── NoTokenSecret           409
├── WebhookRefused          the webhook is malformed or its signature is not accepted
│   ├── Malformed               400
│   ├── SignatureMissing        401
│   ├── SignatureInvalid        401
│   ├── TimestampOutOfRange     401
│   └── UserMismatch            401
├── FalError                fal rejected the request, or did not answer
│   ├── FalRejected             502, with fal's status and body
│   │   ├── EndpointUnknown
│   │   └── UnusableResult
│   └── FalUnreachable          502
├── Unavailable             retry: a dependency is unavailable
│   ├── StoreUnavailable        503
│   │   └── StoreRefused            503; at the start: exit code 2
│   ├── KeysUnavailable         503
│   ├── Busy                    503
│   ├── TooManyStreams          503
│   └── Draining                503
├── UsageError              invalid input on the command line (exit code 2)
└── SettingsError           invalid settings: the server does not start (command line, exit code 2)
"""

from enum import StrEnum
from typing import Any, ClassVar

from msgspec import Raw


class HookcastError(Exception):
    """The base class. `str(error)` is one sentence for people; `code` is stable and for programs."""

    status: int = 500
    code: str = "internal_error"
    title: ClassVar[str] = "Something went wrong in Hookcast"

    def extensions(self) -> dict[str, Any]:
        """Return the extension members of this problem (RFC 9457 section 3.2)."""
        return {}


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


class AccessError(HookcastError):
    """The caller may not do this."""


class Unauthorized(AccessError):
    """The request has no API key and no token, or none that is known."""

    status = 401
    code = "unauthorized"
    title = "An API key or a token is needed"


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


class JobNotFound(HookcastError):
    """No job with this requestId is known, or the caller may not see it."""

    status = 404
    code = "job_not_found"
    title = "Job not found"

    def __init__(self, *names: str) -> None:
        super().__init__(
            f"No job of the name {', '.join(map(repr, names[:3]))} is known here that you may see. Submit it through "
            "Hookcast, register it with PUT, or check that fal's webhook points at this server."
        )


class AlreadyTerminal(HookcastError):
    """The job has ended and can no longer be cancelled."""

    status = 409
    code = "already_terminal"
    title = "The job has already ended"


class UnknownToFal(HookcastError):
    """fal does not know the request, so it cannot be cancelled there."""

    status = 404
    code = "unknown_to_fal"
    title = "fal does not know this request"


class IdempotencyConflict(HookcastError):
    """Another request with the same idempotency key is in progress."""

    status = 409
    code = "idempotency_in_flight"
    title = "The same submit is under way"


class IdempotencyMismatch(HookcastError):
    """The idempotency key belongs to another body or another caller."""

    status = 422
    code = "idempotency_mismatch"
    title = "The Idempotency-Key belongs to another request"


class SubmitOutcomeUnknown(HookcastError):
    """The first request with the idempotency key may have reached fal, and its outcome is not known yet."""

    status = 409
    code = "submit_outcome_unknown"
    title = "It is not known whether fal took the first request"


class NoTokenSecret(HookcastError):
    """The server has no secret for signing tokens."""

    status = 409
    code = "no_token_secret"
    title = "The server cannot make tokens"


class WebhookRefused(HookcastError):
    """The webhook was refused; nothing of it is stored."""

    status = 401
    title = "The webhook was refused"


class Malformed(WebhookRefused):
    """The signature is valid, but the body is not a fal webhook."""

    status = 400
    code = "malformed"


class SignatureMissing(WebhookRefused):
    """One of the four X-Fal-Webhook headers is missing."""

    code = "signature_missing"


class SignatureInvalid(WebhookRefused):
    """None of fal's keys signed these bytes."""

    code = "signature_invalid"


class TimestampOutOfRange(WebhookRefused):
    """The signature's timestamp is not a number, or more than 300 s from now."""

    code = "timestamp_out_of_range"


class UserMismatch(WebhookRefused):
    """The webhook was signed for a fal user other than HOOKCAST_FAL_USER_ID."""

    code = "user_mismatch"


class FalError(HookcastError):
    """A request to fal failed. `maybe_taken` is False when fal certainly did not act on it."""

    status = 502
    maybe_taken: bool = False


class FalRejected(FalError):
    """fal answered with an error that a retry does not change.

    `fal_status` is fal's HTTP status, `fal_body` its JSON body (or its text, or None when empty), `error_type` its own
    name of the error.
    """

    code = "fal_rejected"
    title = "fal rejected the request"

    def __init__(
        self,
        message: str,
        *,
        fal_status: int,
        fal_body: Raw | str | None = None,
        error_type: str | None = None,
        maybe_taken: bool = False,
    ) -> None:
        super().__init__(message)
        self.fal_status = fal_status
        self.fal_body = fal_body
        self.error_type = error_type
        self.maybe_taken = maybe_taken

    @property
    def raw_body(self) -> Raw | None:
        """fal's body if it is JSON."""
        return self.fal_body if isinstance(self.fal_body, Raw) else None

    def extensions(self) -> dict[str, Any]:
        """Return fal's own error for the developer, as `falStatus` and `falBody`."""
        return {"falStatus": self.fal_status, "falBody": self.fal_body}


class EndpointUnknown(FalRejected):
    """fal cannot be asked about a job, since neither its URLs nor its endpoint are known."""

    def __init__(self) -> None:
        message = "fal cannot be asked for a job whose endpointId is unknown; register it with PUT."
        super().__init__(message, fal_status=404)


class UnusableResult(FalRejected):
    """fal answered the request for a result with something that is no JSON, or too large."""


class FalUnreachable(FalError):
    """fal did not answer in time, or answered only with retryable errors."""

    code = "fal_unreachable"
    title = "fal could not be reached"

    def __init__(self, message: str, *, maybe_taken: bool = True) -> None:
        super().__init__(message)
        self.maybe_taken = maybe_taken


class Unavailable(HookcastError):
    """A dependency is temporarily unavailable; the same request may be repeated after `retry_after` seconds."""

    status = 503
    retry_after: ClassVar[int] = 1


class Trouble(StrEnum):
    """What is wrong with the database: stable words of `/readyz` and the log."""

    DISK_FULL = "disk_full"  # or the quota, or the limit of a file's size
    READ_ONLY = "read_only"  # a standby, a former primary, a file system mounted so
    UNREACHABLE = "unreachable"  # also starting or stopping
    TIMEOUT = "timeout"
    BUSY = "busy"  # locked, or out of connections or memory
    REFUSED = "refused"
    VALUE = "value"  # not of the database: it cannot store what it was given
    ERROR = "error"


class StoreUnavailable(Unavailable):
    """The database failed, or did not answer in time. `reason` is for operators, and may name hosts and users."""

    code = "store_unavailable"
    title = "The database is not available"

    def __init__(self, message: str, trouble: Trouble = Trouble.ERROR, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.trouble = trouble
        self.reason = message if reason is None else reason


class StoreRefused(StoreUnavailable):
    """The database cannot be used until somebody changes it, or the settings. A server does not start with it."""

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message, Trouble.REFUSED, reason=reason)


class NotStorable(StoreUnavailable):
    """The database does not take the values of this job; trying again does not help."""


class KeysUnavailable(Unavailable):
    """Signing keys (fal's or the identity provider's) could neither be fetched nor found in the database."""

    code = "keys_unavailable"
    title = "Signing keys are not available"


class Busy(Unavailable):
    """The bodies under way take all the memory there is for them."""

    code = "busy"
    title = "The server is busy"
    retry_after = 5


class TooManyStreams(Unavailable):
    """The server has reached its limit of open streams."""

    code = "too_many_streams"
    title = "The server has no room for another stream"
    retry_after = 5


class Draining(Unavailable):
    """The server is draining and accepts no new streams."""

    code = "draining"
    title = "The server is restarting"


class NodeFailed(HookcastError):
    """A part of the node that it cannot work without has failed; the process ends."""


class UsageError(HookcastError):
    """A command was given invalid input."""


class SettingsError(HookcastError):
    """Invalid settings, all named in one message."""
