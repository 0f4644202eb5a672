"""Kills a hanging test process, prints its stack, and names its test.

pytest-timeout raises inside the test. A process that hangs in C, or in which CPython does not run pending signal
handlers, executes no bytecode and is never interrupted. So each pytest process has a watchdog, a second process that is
notified of every test through a pipe. On SIGABRT, faulthandler, which pytest enables, writes the Python stacks without
running bytecode.
"""

import math
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

GRACE_SECONDS = float(os.environ.get("WATCHDOG_GRACE_SECONDS", "180"))  # after a test's own timeout, which fires first
STACK_SECONDS = 10.0
FOREVER = math.inf


class Watchdog:
    """The watchdog's client in the watched process."""

    def __init__(self, stderr: int) -> None:
        command = [sys.executable, __file__, str(os.getpid())]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=stderr, stderr=stderr, text=True)

    def expect(self, seconds: float, name: str) -> None:
        """Promise the next message within `seconds`; `name` describes what runs until then."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds} {name}\n")
        self._process.stdin.flush()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection(self) -> Iterator[None]:
        """Watch the collection: importing tests may hang, too."""
        self.expect(GRACE_SECONDS, "the collection of tests")
        found = yield
        self.expect(FOREVER, "idle")  # an xdist worker waiting for work is not stuck
        return found

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Watch a test, its fixtures included."""
        marker = item.get_closest_marker("timeout")
        timeout = float(marker.args[0] if marker else item.config.getini("timeout") or 0)
        self.expect(timeout + GRACE_SECONDS, item.nodeid)
        done = yield
        self.expect(FOREVER, "idle")
        return done

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self) -> Iterator[None]:
        """Watch the end of the session; the pipe closes when the process exits."""
        done = yield
        self.expect(GRACE_SECONDS, "the end of the session")
        return done


def pytest_configure(config: pytest.Config) -> None:
    """Start a watchdog in each worker and in the controller. Output is not captured yet."""
    config.pluginmanager.register(Watchdog(os.dup(2)), "watchdog")


def watch(pid: int, words: TextIO) -> None:
    """Read the pipe until it closes; kill the process on timeout. Buffered reads would hide lines from select."""
    seconds, name, rest = GRACE_SECONDS, "the start", b""
    while select.select([words], [], [], None if seconds == FOREVER else seconds)[0]:
        data = os.read(words.fileno(), 65536)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        if lines:
            limit, _, name = lines[-1].decode().partition(" ")
            seconds = float(limit)
    sys.stderr.write(f"\nwatchdog: process {pid} was silent for {seconds:g} s: {name}\n")
    kill(pid, words)


def kill(pid: int, words: TextIO) -> None:
    """Abort the process, which prints its stack if possible, and kill all its descendants."""
    children = list(descendants(pid))
    os.kill(pid, signal.SIGABRT)
    if not select.select([words], [], [], STACK_SECONDS)[0]:
        os.kill(pid, signal.SIGKILL)
    for child in children:
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            continue


def descendants(pid: int) -> Iterator[int]:
    """Yield the descendants of this process, except the watchdog (proc(5), children)."""
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, listed.read_text().split()):
            if child != os.getpid():
                yield child
                yield from descendants(child)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by pytest, which may take a while
    watch(int(sys.argv[1]), sys.stdin)
