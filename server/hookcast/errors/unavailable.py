"""Dependencies that are temporarily unavailable."""

from enum import StrEnum
from typing import ClassVar

from hookcast.errors.base import HookcastError


class Unavailable(HookcastError):
    """A dependency is temporarily unavailable; the same request may be repeated after `retry_after` seconds."""

    status = 503
    retry_after: ClassVar[int] = 1


class Trouble(StrEnum):
    """Kinds of database failure: the stable codes in `/readyz` and the log."""

    DISK_FULL = "disk_full"  # or the quota, or the limit of a file's size
    READ_ONLY = "read_only"  # a standby, a former primary, a file system mounted read-only
    UNREACHABLE = "unreachable"  # also starting or stopping
    TIMEOUT = "timeout"
    BUSY = "busy"  # locked, or out of connections or memory
    REFUSED = "refused"
    VALUE = "value"  # a value that the database cannot store; not a failure of the database
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
    """The database cannot be used until it or the settings are changed. A server does not start with it."""

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message, Trouble.REFUSED, reason=reason)


class NotStorable(StoreUnavailable):
    """The database cannot store the values of this job; a retry does not help."""


class KeysUnavailable(Unavailable):
    """Signing keys (fal's or the identity provider's) could neither be fetched nor found in the database."""

    code = "keys_unavailable"
    title = "Signing keys are not available"


class Busy(Unavailable):
    """The bodies being received use all the memory reserved for them."""

    code = "busy"
    title = "The server is busy"
    retry_after = 5


class TooManyStreams(Unavailable):
    """The server has reached its limit of open streams."""

    code = "too_many_streams"
    title = "The server has reached its limit of streams"
    retry_after = 5


class Draining(Unavailable):
    """The server is draining and accepts no new streams."""

    code = "draining"
    title = "The server is restarting"
