"""Ports for servers that go away and come back."""

import itertools
import os
import socket

LOWEST, HIGHEST = (
    20_000,
    32_000,
)  # below the ports that the system lends to clients: one of them could take it meanwhile
_next = itertools.count(os.getpid() * 1009)  # far from the next process, which may choose at the same time


def quiet_port() -> int:
    """A port of loopback that nothing listens on, and that no client is given."""
    for number in _next:
        port = LOWEST + number % (HIGHEST - LOWEST)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise AssertionError("counting ends never")
