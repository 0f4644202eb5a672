"""Linux namespaces; Python supports them from 3.12 on only."""

import ctypes
import os
import subprocess

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000  # sched.h
_libc = ctypes.CDLL(None, use_errno=True)


def leave_mounts() -> None:
    """Enter a private mount namespace: later mounts are invisible to others, and vanish with this process."""
    _check(_libc.unshare(CLONE_NEWNS))
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def enter_network(fd: int) -> None:
    """Move this thread into the network namespace of `fd`."""
    _check(_libc.setns(fd, CLONE_NEWNET))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
