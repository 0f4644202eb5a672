"""Ports for servers that stop and restart."""

import itertools
import os
import socket

LOWEST, HIGHEST = (
    20_000,
    32_000,
)  # below the ephemeral ports: a client could be given one of those meanwhile
_next = itertools.count(os.getpid() * 1009)  # far from another process that chooses at the same time


def quiet_port() -> int:
    """Return a free loopback port outside the ephemeral range."""
    for number in _next:
        port = LOWEST + number % (HIGHEST - LOWEST)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise AssertionError("counting ends never")
