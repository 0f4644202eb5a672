"""Bound the connections that wait for their clients, so that silent clients do not exclude others."""

import asyncio
import sys
from collections import OrderedDict
from typing import Any, Protocol

from hookcast.logs import Throttle

MAX_IDLE = 4096  # some 12 KiB each
FULL_SECONDS = 10.0  # between two lines of the log


class Waiting(Protocol):
    """A connection that waits for its client to send a request, or the rest of one, or to read.

    `connections` are all of the server's, including streams.
    """

    connections: set[Any]
    transport: asyncio.Transport


class Idle:
    """Connections that wait for their clients, in the order in which they began to.

    Beyond `MAX_IDLE` of them, or `limit` connections of any kind, the one that has waited longest is closed, so silent
    clients do not exclude others.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = sys.maxsize if limit is None else limit
        self._waiting: OrderedDict[Waiting, None] = OrderedDict()
        self._log = Throttle(lines=1, seconds=FULL_SECONDS)

    def add(self, connection: Waiting) -> None:
        """Note that a connection waits from now on."""
        self._waiting.pop(connection, None)
        self._waiting[connection] = None
        count = len(connection.connections)
        if count > self.limit or len(self._waiting) > MAX_IDLE:
            oldest, _ = self._waiting.popitem(last=False)
            _close(oldest.transport)
            self._log.warning("connections_full", connections=count, limit=self.limit, idle=len(self._waiting) + 1)

    def discard(self, connection: Waiting) -> None:
        """Note that a connection no longer waits. Idempotent."""
        self._waiting.pop(connection, None)


def _close(transport: asyncio.Transport) -> None:
    """Close at once, also if the client has not read the last response."""
    if transport.get_write_buffer_size():
        transport.abort()
    else:
        transport.close()
