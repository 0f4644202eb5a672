"""The health of the database, from its transactions; each change is logged once."""

import asyncio
import time
from collections.abc import Callable

from hookcast.errors import StoreUnavailable, Trouble
from hookcast.logs import get_logger

CALM_SECONDS = 2.0  # without a failure: then the trouble is over, and another kind of trouble is logged
_OF_WRITES = frozenset({Trouble.DISK_FULL, Trouble.READ_ONLY})  # reads still work

_log = get_logger(__name__)


class Health:
    """The database's trouble, or None. `clock` is in monotonic seconds.

    While failures and successes alternate, the trouble continues: it ends with a success `CALM_SECONDS` after the last
    failure.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = self._failed_at = self._told_at = 0.0
        self.trouble: Trouble | None = None
        self.troubled = asyncio.Event()

    def failed(self, error: StoreUnavailable) -> None:
        """Note a failed transaction. An error in one row's values is not the database's trouble."""
        if error.trouble is Trouble.VALUE:
            return
        now = self._failed_at = self._clock()
        begins = self.trouble is None
        if begins:
            self._began = now
        if begins or (error.trouble is not self.trouble and now - self._told_at >= CALM_SECONDS):
            self.trouble, self._told_at = error.trouble, now
            self.troubled.set()
            _log.warning("database_unavailable", trouble=error.trouble.value, reason=error.reason)

    def worked(self, *, wrote: bool) -> None:
        """Note a transaction that succeeded. A read does not end trouble with writes."""
        if self.trouble is None or (self.trouble in _OF_WRITES and not wrote):
            return
        now = self._clock()
        if now - self._failed_at >= CALM_SECONDS:
            _log.warning("database_available", after=round(now - self._began, 1))
            self.trouble = None
            self.troubled.clear()
