"""The parent of `hookcast serve --workers N`: a program of its own, which loads nothing of the server.

What starts a node takes 100 MiB that the parent would hold for nothing, so the process goes on as this program.
"""

import os
import signal
import sys
from typing import NoReturn

from hookcast.signals import stop_signals


def hold_signals() -> None:
    """Let the signals that stop a server wait until `become` has made this the parent, which forwards them.

    Blocks them in this thread. The log's thread blocks them itself; no other thread may run.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals())


def become(fd: int, count: int, level: str) -> NoReturn:
    """Go on as the parent of `count` workers on the listening socket `fd`, with the same pid; `level` is the log's.

    The caller holds the signals, and has written out its log: nothing runs at its exit.
    """
    os.set_inheritable(fd, True)
    os.execv(sys.executable, [sys.executable, "-m", __name__, str(fd), str(count), level])  # noqa: S606
