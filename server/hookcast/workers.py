"""`hookcast serve --workers N`: N processes on one listening socket, started again when one of them dies.

The parent serves nothing. It hands signals on: after SIGTERM or SIGINT the workers drain, a second one ends them at
once.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from types import FrameType

from hookcast.logs import get_logger

MIN_LIFE_SECONDS = 5.0  # one that dies younger is started again only after a pause of this length
LOOK_SECONDS = 0.2

_log = get_logger(__name__)


def command(listener: socket.socket) -> list[str]:
    """How a worker is started: it inherits the listening socket."""
    return [sys.executable, "-m", "hookcast", "serve", "--fd", str(listener.fileno())]


class Workers:
    """Start them, watch them, end them. Use it in the main thread."""

    def __init__(self, listener: socket.socket, count: int) -> None:
        self._listener = listener
        self._count = count
        self._running: dict[int, tuple[subprocess.Popen[bytes], float]] = {}
        self._signals = 0

    def run(self) -> None:
        """Until a signal ends it and the last worker has gone."""
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._on_signal)
        for number in range(self._count):
            self._start(number)
        while self._running:
            time.sleep(LOOK_SECONDS)
            for number, (worker, started) in list(self._running.items()):
                if worker.poll() is not None:
                    self._ended(number, worker, time.monotonic() - started)

    def _start(self, number: int) -> None:
        fd = self._listener.fileno()
        os.set_inheritable(fd, True)
        worker = subprocess.Popen(command(self._listener), pass_fds=(fd,), start_new_session=True)  # noqa: S603
        self._running[number] = worker, time.monotonic()
        _log.info("worker_started", pid=worker.pid)

    def _ended(self, number: int, worker: "subprocess.Popen[bytes]", age: float) -> None:
        del self._running[number]
        if self._signals:
            return
        _log.error("worker_died", pid=worker.pid, code=worker.returncode)
        if age < MIN_LIFE_SECONDS:
            time.sleep(MIN_LIFE_SECONDS)
        if not self._signals:
            self._start(number)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        for worker, _ in self._running.values():
            worker.send_signal(signal.SIGTERM)
