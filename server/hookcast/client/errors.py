"""The client's exceptions, all below HookcastError.

ClientError
├── Unreachable         no response from the server
├── Unavailable         429, 503, or a proxy's 502 and 504: the same request may be retried
├── AccessRefused       401, 403
├── NotFound            404 `job_not_found`
├── Refused             any other problem that the server reports, such as `fal_rejected`
├── UnexpectedAnswer    the response is not Hookcast's
├── DeadlinePassed      also a TimeoutError
└── JobFailed           the job ended without a result
    └── JobCancelled
"""

from hookcast.client.model import Job
from hookcast.errors import HookcastError


class ClientError(HookcastError):
    """Base class of the client's errors; `str(error)` is one readable sentence.

    `status` is the HTTP status (0 = no response), `code` the problem's stable code, `detail` the problem's sentence.
    """

    def __init__(self, message: str, *, status: int = 0, code: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.detail = detail or message


class Unreachable(ClientError):
    """No connection, or it broke before the response was complete."""


class Unavailable(ClientError):
    """The server or a proxy asks to retry later, after `retry_after` seconds (0 when it names none)."""

    def __init__(self, message: str, *, retry_after: float = 0.0, status: int, code: str, detail: str) -> None:
        super().__init__(message, status=status, code=code, detail=detail)
        self.retry_after = retry_after


class AccessRefused(ClientError):
    """The token is missing, invalid or expired (401), or does not permit this (403).

    `code` is `not_hookcast` where a proxy, a firewall or a login refuses, not Hookcast.
    """


class NotFound(ClientError):
    """No such job, or none that this token may see."""


class Refused(ClientError):
    """The server rejected the request, or the client, before it was sent; a retry would be rejected too."""


class UnexpectedAnswer(ClientError):
    """The response is not from Hookcast, or from a version that this client does not understand: `not_hookcast`."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message, status=status, code="not_hookcast")


class DeadlinePassed(ClientError, TimeoutError):
    """The job did not end within `timeout`; it continues on the server."""


class JobFailed(ClientError):
    """The job ended without a result; `job` is its terminal state."""

    def __init__(self, job: Job) -> None:
        super().__init__(job.error or f"The job was {job.status}.", code=job.status)
        self.job = job


class JobCancelled(JobFailed):
    """The job was cancelled."""
