"""Everything that can go wrong, as one tree; `routes/problems.py` turns it into RFC 9457 answers.

HookcastError
├── RequestError            the caller's input is wrong
│   ├── InvalidRequest          422
│   ├── BadPath                 400
│   ├── UpgradeRequired         426
│   ├── BodyTooLarge            413
│   ├── BodyTimeout             408
│   ├── BadRequest              400, no HTTP/1.1
│   ├── UrlTooLong              414
│   ├── HeadTooLarge            431
│   └── HeadTimeout             408
├── AccessError             the caller may not do this
│   ├── Unauthorized            401
│   ├── TokenInvalid            401
│   ├── TokenExpired            401
│   ├── Forbidden               403
│   └── OriginNotAllowed        403
├── LimitReached            this client has had its share, come back after `retry_after` seconds
│   ├── TooManyStreamsOfClient  429
│   └── RateLimited             429
├── JobNotFound             404
├── AlreadyTerminal         409
├── IdempotencyConflict     409
├── NoTokenSecret           409
├── WebhookRefused          the webhook is not a job's end as fal sends it
│   ├── Malformed               400
│   ├── SignatureMissing        401
│   ├── SignatureInvalid        401
│   ├── TimestampOutOfRange     401
│   └── UserMismatch            401
├── FalError                fal said no, or did not answer
│   ├── FalRejected             502, with fal's status and body
│   └── FalUnreachable          502
├── Unavailable             try again: something Hookcast needs is away
│   ├── StoreUnavailable        503
│   ├── KeysUnavailable         503
│   ├── TooManyStreams          503
│   └── Draining                503
├── UsageError              the command line's input is wrong (exit code 2)
└── SettingsError           the start is refused (command line, exit code 2)
"""

from typing import Any, ClassVar

from msgspec import Raw


class HookcastError(Exception):
    """The root. `str(error)` is one sentence for people; `code` is stable and for programs."""

    status: int = 500
    code: str = "internal_error"
    title: ClassVar[str] = "Something went wrong in Hookcast"

    def extensions(self) -> dict[str, Any]:
        """Members that this problem adds to the answer (RFC 9457 section 3.2)."""
        return {}


class RequestError(HookcastError):
    """The caller's request cannot be used as it is."""


class InvalidRequest(RequestError):
    """A body, query or header value is missing or of the wrong shape."""

    status = 422
    code = "invalid_request"
    title = "The request is not valid"


class UpgradeRequired(RequestError):
    """The path speaks WebSocket only."""

    status = 426
    code = "upgrade_required"
    title = "WebSocket only"


class BadPath(RequestError):
    """The requestId in the path cannot name a job."""

    status = 400
    code = "invalid_path"
    title = "The requestId is not valid"


class BodyTooLarge(RequestError):
    """The body is longer than the limit; it was not read to its end."""

    status = 413
    code = "too_large"
    title = "The body is too large"


class BodyTimeout(RequestError):
    """The body did not arrive in time."""

    status = 408
    code = "body_timeout"
    title = "The body did not arrive in time"


class BadRequest(RequestError):
    """The bytes are no HTTP/1.1 request (RFC 9112)."""

    status = 400
    code = "bad_request"
    title = "The request is not HTTP"


class UrlTooLong(RequestError):
    """The request's target is longer than the limit (RFC 9110 section 15.5.15)."""

    status = 414
    code = "url_too_long"
    title = "The URL is too long"


class HeadTooLarge(RequestError):
    """The request's header fields are more, or longer, than the limit (RFC 6585 section 5)."""

    status = 431
    code = "headers_too_large"
    title = "The headers are too large"


class HeadTimeout(RequestError):
    """The request's head did not arrive in time."""

    status = 408
    code = "request_timeout"
    title = "The request did not arrive in time"


class LimitReached(HookcastError):
    """One client has as much as it may have; the same request may be repeated after `retry_after` seconds."""

    status = 429

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooManyStreamsOfClient(LimitReached):
    """The client's address, or its token, has as many streams as one may have."""

    code = "too_many_streams_of_client"
    title = "This client has too many streams"


class RateLimited(LimitReached):
    """The caller sends requests of this kind faster than it may."""

    code = "rate_limited"
    title = "Too many requests"


class AccessError(HookcastError):
    """The caller may not do this."""


class Unauthorized(AccessError):
    """No API key and no token came with the request, or none that is known."""

    status = 401
    code = "unauthorized"
    title = "An API key or a token is needed"


class TokenInvalid(AccessError):
    """The token was not made for this server, or not as documented."""

    status = 401
    code = "token_invalid"
    title = "The token is not accepted"


class TokenExpired(AccessError):
    """The token's time is over."""

    status = 401
    code = "token_expired"
    title = "The token has expired"


class Forbidden(AccessError):
    """The caller is known, and this is not for such callers."""

    status = 403
    code = "forbidden"
    title = "Not allowed"


class OriginNotAllowed(AccessError):
    """A page of another site asks."""

    status = 403
    code = "origin_not_allowed"
    title = "The page's origin is not allowed"


class JobNotFound(HookcastError):
    """No job of this requestId is known (or the caller may not see it)."""

    status = 404
    code = "job_not_found"
    title = "Job not found"

    def __init__(self, *names: str) -> None:
        super().__init__(
            f"No job of the name {', '.join(map(repr, names[:3]))} is known here that you may see. Submit it through "
            "Hookcast, register it with PUT, or check that fal's webhook points at this server."
        )


class AlreadyTerminal(HookcastError):
    """The job has ended; there is nothing left to cancel."""

    status = 409
    code = "already_terminal"
    title = "The job has already ended"


class IdempotencyConflict(HookcastError):
    """Another request with the same Idempotency-Key is still being answered."""

    status = 409
    code = "idempotency_in_flight"
    title = "The same submit is under way"


class NoTokenSecret(HookcastError):
    """The server has no secret to sign tokens with."""

    status = 409
    code = "no_token_secret"
    title = "The server cannot make tokens"


class WebhookRefused(HookcastError):
    """A webhook that is not taken: nothing of it is stored."""

    status = 401
    title = "The webhook was refused"


class Malformed(WebhookRefused):
    """The signature holds, but the body is no fal webhook."""

    status = 400
    code = "malformed"


class SignatureMissing(WebhookRefused):
    """One of the four X-Fal-Webhook headers is missing."""

    code = "signature_missing"


class SignatureInvalid(WebhookRefused):
    """No key of fal's signed these bytes."""

    code = "signature_invalid"


class TimestampOutOfRange(WebhookRefused):
    """The signature's timestamp is no number, or more than 300 s away from now."""

    code = "timestamp_out_of_range"


class UserMismatch(WebhookRefused):
    """The webhook was signed for another fal user than HOOKCAST_FAL_USER_ID."""

    code = "user_mismatch"


class FalError(HookcastError):
    """fal could not do what was asked."""

    status = 502


class FalRejected(FalError):
    """fal answered with an error that repeating does not change.

    `fal_status` is fal's HTTP status, `fal_body` its JSON body (or its text, or None when empty).
    """

    code = "fal_rejected"
    title = "fal rejected the request"

    def __init__(self, message: str, *, fal_status: int, fal_body: Raw | str | None) -> None:
        super().__init__(message)
        self.fal_status = fal_status
        self.fal_body = fal_body

    @property
    def raw_body(self) -> Raw | None:
        """fal's body if it was JSON."""
        return self.fal_body if isinstance(self.fal_body, Raw) else None

    def extensions(self) -> dict[str, Any]:
        """fal's own words, for the developer: `falStatus` and `falBody`."""
        return {"falStatus": self.fal_status, "falBody": self.fal_body}


class FalUnreachable(FalError):
    """fal did not answer in time, or answered only with passing errors."""

    code = "fal_unreachable"
    title = "fal could not be reached"


class Unavailable(HookcastError):
    """Something Hookcast depends on is away for now; the same request may be repeated after `retry_after` seconds."""

    status = 503
    retry_after: ClassVar[int] = 1


class StoreUnavailable(Unavailable):
    """The database did not do its work in time, or at all."""

    code = "store_unavailable"
    title = "The database is not available"


class KeysUnavailable(Unavailable):
    """fal's signing keys could neither be fetched nor found in the database."""

    code = "keys_unavailable"
    title = "fal's signing keys are not available"


class TooManyStreams(Unavailable):
    """The server has as many streams as it may have."""

    code = "too_many_streams"
    title = "The server has no room for another stream"
    retry_after = 5


class Draining(Unavailable):
    """The server is about to stop and takes no new streams."""

    code = "draining"
    title = "The server is restarting"


class UsageError(HookcastError):
    """What was given to a command cannot be used."""


class SettingsError(HookcastError):
    """One message that names every wrong setting."""
