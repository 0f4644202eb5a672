"""Ports for servers that stop and restart."""

import fcntl
import itertools
import os
import socket
import tempfile
from functools import cache
from pathlib import Path

LOWEST, HIGHEST = (
    20_000,
    32_000,
)  # below the ephemeral ports: a client could be given one of those meanwhile
_next = itertools.count(os.getpid() * 1009)  # far from another process that chooses at the same time


def quiet_port() -> int:
    """Return a free loopback port outside the ephemeral range, which no other process gets here until this one ends."""
    for number in itertools.islice(_next, HIGHEST - LOWEST):
        port = LOWEST + number % (HIGHEST - LOWEST)
        try:
            fcntl.lockf(_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise AssertionError("No port is free.")


@cache
def _locks() -> int:
    """Open the file with a byte for each port, which the kernel locks for a process (fcntl(2), "Advisory locking")."""
    file = Path(tempfile.gettempdir()) / f"hookcast-ports-{os.getuid()}"
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
