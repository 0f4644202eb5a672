"""TLS connections to Redis that share a context, which is slow to create."""

import time
from typing import Any

from redis.asyncio import SSLConnection
from redis.asyncio.connection import RedisSSLContext

KEPT_SECONDS = 60.0  # after that, a new connection reads renewed certificates

_made: dict[str, tuple[float, RedisSSLContext]] = {}


class TlsConnection(SSLConnection):
    """A TLS connection that reuses the context of recent connections with the same options.

    redis-py creates one for each connection. That reads the system's certificates, and blocks the event loop for 30 ms.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        same = repr([(name, value) for name, value in options.items() if name.startswith("ssl_")])
        at, context = _made.get(same, (float("-inf"), self.ssl_context))
        if time.monotonic() - at < KEPT_SECONDS:
            self.ssl_context = context
        else:
            _made[same] = time.monotonic(), self.ssl_context
