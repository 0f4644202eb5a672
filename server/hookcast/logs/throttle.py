"""A bound on lines that strangers cause."""

import asyncio
import contextvars
from collections import Counter
from typing import Any

from hookcast.logs.loggers import get_logger

STRANGERS_LINES = 5  # per second


class Throttle:
    """Logs at most a few warnings per second that strangers cause, then one line with the number suppressed."""

    def __init__(self, *, lines: int = STRANGERS_LINES, seconds: float = 1.0) -> None:
        self._log = get_logger(__name__)
        self._lines = lines
        self._seconds = seconds
        self._logged = 0
        self._suppressed: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def warning(self, event: str, **fields: Any) -> None:
        """Log a warning, or count it. Call it in a running event loop."""
        if self._timer is None:
            nobody = contextvars.Context()  # the count belongs to no request
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._turn, context=nobody)
        if self._logged < self._lines:
            self._logged += 1
            self._log.warning(event, **fields)
        else:
            self._suppressed[event] += 1

    def _turn(self) -> None:
        self._timer, self._logged = None, 0
        for event, count in self._suppressed.items():
            self._log.warning(event, suppressed=count)
        self._suppressed.clear()
