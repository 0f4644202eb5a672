"""What the client raises, as one tree below HookcastError.

ClientError
├── Unreachable         no server answered
├── Unavailable         429, 503, or a proxy's 502 and 504: the same request may be repeated
├── AccessRefused       401, 403
├── NotFound            404 `job_not_found`
├── Refused             any other problem that the server names, such as `fal_rejected`
├── UnexpectedAnswer    this is not how Hookcast answers
├── DeadlinePassed      also a TimeoutError
└── JobFailed           the job ended without a result
    └── JobCancelled
"""

from hookcast.client.model import Job
from hookcast.errors import HookcastError


class ClientError(HookcastError):
    """`str(error)` is one sentence for people.

    `status` is the HTTP status (0 = there was no answer), `code` the problem's stable code, `detail` its own sentence.
    """

    def __init__(self, message: str, *, status: int = 0, code: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.detail = detail or message


class Unreachable(ClientError):
    """No connection, or it broke before the answer was here."""


class Unavailable(ClientError):
    """The server, or a proxy before it, asks to come back later: after `retry_after` seconds, when it says so."""

    def __init__(self, message: str, *, retry_after: float = 0.0, status: int, code: str, detail: str) -> None:
        super().__init__(message, status=status, code=code, detail=detail)
        self.retry_after = retry_after


class AccessRefused(ClientError):
    """The token is missing, not valid, expired (401), or not good for this (403)."""


class NotFound(ClientError):
    """The server knows no such job, or none that this token may see."""


class Refused(ClientError):
    """The server names a problem that repeating the request does not change."""


class UnexpectedAnswer(ClientError):
    """What answers at this address is no Hookcast, or not one that this client understands."""


class DeadlinePassed(ClientError, TimeoutError):
    """The job had not ended in the time given. It goes on all the same."""


class JobFailed(ClientError):
    """The job has ended without a result; `job` is its last state."""

    def __init__(self, job: Job) -> None:
        super().__init__(job.error or f"The job was {job.status}.", code=job.status)
        self.job = job


class JobCancelled(JobFailed):
    """The job was cancelled."""
