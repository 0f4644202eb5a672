"""The parent of `hookcast serve --workers N`: a program of its own, which loads nothing of the server.

What starts a node takes 100 MiB that the parent would hold for nothing, so the process goes on as this program.
"""

import os
import signal
import sys
from typing import NoReturn

from hookcast.signals import stop_signals


def become(fd: int, count: int, level: str) -> NoReturn:
    """Go on as the parent of `count` workers on the listening socket `fd`, with the same pid; `level` is the log's.

    A signal that arrives meanwhile waits until it can be forwarded. The caller has written out its log: nothing runs at
    its exit.
    """
    os.set_inheritable(fd, True)
    signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals())
    os.execv(sys.executable, [sys.executable, "-m", __name__, str(fd), str(count), level])  # noqa: S606
