"""`hookcast serve --workers N`: N processes on one listening socket, started again when one of them dies.

The parent serves nothing. It hands signals on: after SIGTERM or SIGINT the workers drain, a second one ends them at
once. Each worker's standard input is a pipe that the parent holds: should the parent die, they drain, too.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from hookcast import metrics
from hookcast.logs import get_logger

MIN_LIFE_SECONDS = 5.0  # one that died younger is started again at the end of this time; the others do not wait for it
LOOK_SECONDS = 0.2

_log = get_logger(__name__)


def command(listener: socket.socket) -> list[str]:
    """How a worker is started: it inherits the listening socket."""
    return [sys.executable, "-m", "hookcast", "serve", "--fd", str(listener.fileno())]


class Workers:
    """Start them, watch them, end them. Use it in the main thread; `clock` and `sleep` are passed in for tests."""

    def __init__(
        self,
        listener: socket.socket,
        count: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._listener = listener
        self._clock = clock
        self._sleep = sleep
        self._running: dict[int, tuple[subprocess.Popen[bytes], float]] = {}
        self._due = dict.fromkeys(range(count), clock())  # those that do not run, and from when on they are to
        self._signals = 0
        self._metrics: Path | None = None
        self._lifeline = subprocess.DEVNULL

    def run(self) -> None:
        """Until a signal ends it and the last worker has gone."""
        with _shared_folder() as self._metrics, _pipe() as self._lifeline:
            self._run()

    def _run(self) -> None:
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._on_signal)
        self._start_what_is_due()
        while self._running or not self._signals:
            self._sleep(LOOK_SECONDS)
            for number, (worker, started) in list(self._running.items()):
                if worker.poll() is not None:
                    self._ended(number, worker, started)
            self._start_what_is_due()

    def _start_what_is_due(self) -> None:
        for number, due in list(self._due.items()):
            if self._clock() >= due and not self._signals:
                del self._due[number]
                self._start(number)

    def _start(self, number: int) -> None:
        fd = self._listener.fileno()
        os.set_inheritable(fd, True)
        environment = os.environ | ({} if self._metrics is None else {metrics.FOLDER: str(self._metrics)})
        worker = subprocess.Popen(  # noqa: S603
            command(self._listener), stdin=self._lifeline, pass_fds=(fd,), start_new_session=True, env=environment
        )
        self._running[number] = worker, self._clock()
        _log.info("worker_started", pid=worker.pid)
        if self._signals:  # it came meanwhile
            worker.send_signal(signal.SIGTERM)

    def _ended(self, number: int, worker: "subprocess.Popen[bytes]", started: float) -> None:
        del self._running[number]
        if self._metrics is not None:
            metrics.forget(self._metrics, worker.pid)
        if not self._signals:
            _log.error("worker_died", pid=worker.pid, code=worker.returncode)
            self._due[number] = started + MIN_LIFE_SECONDS

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        for worker, _ in list(self._running.values()):
            worker.send_signal(signal.SIGTERM)


@contextmanager
def _shared_folder() -> Iterator[Path | None]:
    """Where the workers add up their metrics; None when nothing can be written here: then each answers for itself."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="hookcast-metrics-")
    except OSError as error:
        _log.warning("metrics_of_each_worker_alone", reason=str(error))
        yield None
        return
    with folder as path:
        yield Path(path)


@contextmanager
def _pipe() -> Iterator[int]:
    """Its reading end; the other one is open for as long as this process lives, or the block lasts."""
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)
