"""`hookcast` in a process of its own, forked from one that has imported it: what servers of tests are started by.

Imports are most of what a start takes, 0.8 of 1.1 seconds of CPU, and the tests start hundreds of servers. A forked one
has arguments, an environment, a folder and streams of its own, and ends like any other. What is said of the command
itself is tested on processes that begin as a user's do (`support.commands`).
"""

import multiprocessing
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any, NamedTuple

_context = multiprocessing.get_context("forkserver")
_OURS = ("hookcast.cli.commands", "hookcast.cli.emulated", "hookcast.cli.launch", "hookcast.serving.selftest")
_context.set_forkserver_preload([*_OURS, "alembic.command", "h2.config", "uvloop"])


class Start(NamedTuple):
    """How a `hookcast` begins. In a `session` of its own it can be killed together with what it has started."""

    arguments: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    session: bool = False
    open_files: int | None = None


class Forked:
    """A forked `hookcast`, like a Popen: its output is in the pipe `stdout`, what it logs goes to the file `stderr`."""

    def __init__(self, start: Start, stderr: int) -> None:
        ours, theirs = os.pipe()
        self.stdout = os.fdopen(ours)
        nothing = os.open(os.devnull, os.O_RDONLY)
        streams = _Streams((nothing, theirs, stderr))
        self._process = _context.Process(target=_become, args=(start, streams), daemon=True)
        self._process.start()
        os.close(theirs)
        os.close(nothing)
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Return the exit code, negative for the signal that ended it; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended, and return the exit code. Raises TimeoutExpired."""
        self._process.join(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired("hookcast", timeout or 0.0)
        self.stdout.close()
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


class _Streams:
    """Standard input, output and error of a process that is being started."""

    def __init__(self, fds: Sequence[int]) -> None:
        self.fds = fds

    def __getstate__(self) -> list[Any]:
        return [DupFd(fd) for fd in self.fds]

    def __setstate__(self, given: list[Any]) -> None:
        self.fds = [each.detach() for each in given]


def _become(start: Start, streams: _Streams) -> None:
    from hookcast.__main__ import main  # noqa: PLC0415 - the tests' own process need not

    for number, fd in enumerate(streams.fds):
        os.dup2(fd, number)
        os.close(fd)
    if start.session:
        os.setsid()
    if start.open_files is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (start.open_files, start.open_files))
    os.chdir(start.folder)
    os.environ.clear()
    os.environ.update(start.environment)
    sys.argv = ["hookcast", *start.arguments]
    main()
