"""Refused webhooks of fal, and failed requests to fal."""

from typing import Any

from msgspec import Raw

from hookcast.errors.base import HookcastError


class WebhookRefused(HookcastError):
    """The webhook was refused; nothing is stored."""

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
    """fal cannot be asked about a job, because neither its URLs nor its endpoint are known."""

    status = 409
    code = "endpoint_unknown"
    title = "The job's endpoint is not known"

    def __init__(self) -> None:
        message = "fal cannot be asked about a job whose endpointId is unknown; register it with PUT."
        super().__init__(message, fal_status=404)

    def extensions(self) -> dict[str, Any]:
        """Return nothing: fal was not asked."""
        return {}


class UnusableResult(FalRejected):
    """fal answered the request for a result with something that is not JSON, or too large."""


class FalUnreachable(FalError):
    """fal did not answer in time, or answered only with retryable errors."""

    code = "fal_unreachable"
    title = "fal could not be reached"

    def __init__(self, message: str, *, maybe_taken: bool = True) -> None:
        super().__init__(message)
        self.maybe_taken = maybe_taken
