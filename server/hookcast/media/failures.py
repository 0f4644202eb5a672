"""Why a file is not copied: for good, or for now."""

from enum import StrEnum


class Reason(StrEnum):
    """Why a file is left where it is: stable codes."""

    REFUSED = "refused_address"  # an address that Hookcast does not fetch from
    GONE = "gone"  # 401, 403, 404, 410 and the like: fal's link has ended, or was never public
    REDIRECTS = "too_many_redirects"
    TOO_BIG = "too_big"
    WRONG_TYPE = "wrong_type"
    ENCODED = "encoded"  # compressed although it was asked not to be, or in a framing that is not known
    EMPTY = "empty"
    UNREADABLE = "unreadable"  # a data URI that is not base64


class TryAgain(StrEnum):
    """Why an attempt failed that is repeated: stable codes."""

    INTERRUPTED = "interrupted"  # the host of the file
    STORAGE = "storage_failed"


class Left(Exception):
    """The file is left where it is: another attempt would end the same way. `str(error)` is one sentence for people."""

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class Interrupted(Exception):
    """The attempt failed; another one may succeed, not before `after` seconds when the host said so."""

    reason = TryAgain.INTERRUPTED

    def __init__(self, sentence: str, after: float | None = None) -> None:
        super().__init__(sentence)
        self.after = after


class StorageFailed(Interrupted):
    """The storage did not take the file, or did not answer."""

    reason = TryAgain.STORAGE


class Stopped(Exception):
    """The copy was stopped from outside; nothing of it is visible."""
