"""Abort a connection whose client does not read what it was sent."""

import asyncio
import math


class Unread:
    """Watches what a client has not read, and aborts the connection when it reads nothing for `seconds`."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._transport = transport
        self._loop = loop
        self._seconds = seconds
        self._left: float = math.inf  # bytes, at the last check
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Check from now on, until everything is read. Idempotent."""
        if self._timer is None:
            self._left = self._transport.get_write_buffer_size()
            self._timer = self._loop.call_later(self._seconds, self._check)

    def progress(self) -> None:
        """Note that the client has read."""
        self._left = math.inf

    def stop(self) -> None:
        """Check no more. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        """Abort if the client has read nothing since the last check. `close` alone would wait for it forever."""
        self._timer = None
        left = self._transport.get_write_buffer_size()
        if left >= self._left > 0:
            self._transport.abort()
        elif left:
            self.watch()
