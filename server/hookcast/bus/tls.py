"""TLS connections to Redis that share what takes long to make."""

import time
from typing import Any

from redis.asyncio import SSLConnection
from redis.asyncio.connection import RedisSSLContext

KEPT_SECONDS = 60.0  # then renewed certificates are read

_made: dict[str, tuple[float, RedisSSLContext]] = {}


class TlsConnection(SSLConnection):
    """A connection whose TLS context is that of the last ones with the same options.

    redis-py makes one for each connection, on the event loop: 30 ms, since it reads the system's certificates.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        same = repr([(name, value) for name, value in options.items() if name.startswith("ssl_")])
        at, context = _made.get(same, (float("-inf"), self.ssl_context))
        if time.monotonic() - at < KEPT_SECONDS:
            self.ssl_context = context
        else:
            _made[same] = time.monotonic(), self.ssl_context
