"""Operations on a job that are refused."""

from hookcast.errors.base import HookcastError


class JobNotFound(HookcastError):
    """No job with this requestId is known, or the caller may not see it."""

    status = 404
    code = "job_not_found"
    title = "Job not found"

    def __init__(self, *names: str) -> None:
        super().__init__(
            f"There is no job {', '.join(map(repr, names[:3]))} here, or you may not see it. Submit it through "
            "Hookcast, register it with PUT, or check that fal's webhook points at this server."
        )


class AlreadyTerminal(HookcastError):
    """The job has ended and can no longer be cancelled."""

    status = 409
    code = "already_terminal"
    title = "The job has already ended"


class NotTerminal(HookcastError):
    """The job has not ended: its webhook would create it again if it were removed, and its end cannot be told yet."""

    status = 409
    code = "not_terminal"
    title = "The job has not ended"


class InputNotKept(HookcastError):
    """The job cannot be submitted again: its input was not kept."""

    status = 409
    code = "input_not_kept"
    title = "The job's input was not kept"


class ForwardingOff(HookcastError):
    """The server has no backend to tell."""

    status = 409
    code = "forwarding_off"
    title = "This server tells no backend"


class UnknownToFal(HookcastError):
    """fal does not know the request, so it cannot be cancelled there."""

    status = 404
    code = "unknown_to_fal"
    title = "fal does not know this request"


class IdempotencyConflict(HookcastError):
    """Another request with the same idempotency key is in progress."""

    status = 409
    code = "idempotency_in_flight"
    title = "The same submit is in progress"


class IdempotencyMismatch(HookcastError):
    """The idempotency key belongs to another body or another caller."""

    status = 422
    code = "idempotency_mismatch"
    title = "The Idempotency-Key belongs to another request"


class SubmitOutcomeUnknown(HookcastError):
    """The first request with the idempotency key may have reached fal, and its outcome is not known yet."""

    status = 409
    code = "submit_outcome_unknown"
    title = "It is unknown whether fal accepted the first request"
