"""Namespaces of Linux, which Python offers from 3.12 on only."""

import ctypes
import os
import subprocess

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000  # sched.h
_libc = ctypes.CDLL(None, use_errno=True)


def leave_mounts() -> None:
    """What this process mounts from now on, others do not see, and it goes away with it, whatever ends it."""
    _check(_libc.unshare(CLONE_NEWNS))
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def enter_network(fd: int) -> None:
    """What this thread connects from now on, it connects there."""
    _check(_libc.setns(fd, CLONE_NEWNET))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
