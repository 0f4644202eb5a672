"""`hookcast serve --workers N`: N processes on one listening socket, each restarted if it dies.

The parent serves nothing. It forwards signals: on the first SIGTERM, SIGINT or SIGHUP the workers drain, on a second
they exit at once. Each worker's standard input is a pipe that the parent holds: if the parent dies, the workers drain
too. When every worker has refused to start, so does the parent.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from hookcast.signals import stop_signals
from hookcast.supervisor import metrics
from hookcast.supervisor.log import Log

MIN_LIFE_SECONDS = 5.0  # least time between two starts of one worker; it does not delay the others
LOOK_SECONDS = 0.2
REFUSED = 2  # exit code of a worker that cannot start until settings or database are changed; it has said why


def command(fd: int) -> list[str]:
    """Return the command line of a worker, which inherits the listening socket `fd`."""
    return [sys.executable, "-m", "hookcast", "serve", "--fd", str(fd)]


class Workers:
    """Starts, watches and stops the workers on the listening socket `fd`.

    Use it in the main thread; `clock` and `sleep` are injected for tests.
    """

    def __init__(
        self,
        fd: int,
        count: int,
        log: Log,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._fd = fd
        self._log = log
        self._clock = clock
        self._sleep = sleep
        self._running: dict[int, tuple[subprocess.Popen[bytes], float]] = {}
        self._due = dict.fromkeys(range(count), clock())  # stopped workers → when to start them
        self._count = count
        self._refusing: set[int] = set()  # workers whose last process refused to start
        self._signals = 0
        self._metrics: Path | None = None
        self._lifeline = subprocess.DEVNULL

    def run(self) -> None:
        """Run until a signal arrives and the last worker has exited. Exits with `REFUSED` when no worker can start."""
        with _shared_folder(self._log) as self._metrics, _pipe() as self._lifeline:
            self._run()
        if self._none_can_start:
            sys.exit(REFUSED)

    @property
    def _none_can_start(self) -> bool:
        return len(self._refusing) == self._count

    def _run(self) -> None:
        for name in stop_signals():
            signal.signal(name, self._on_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, stop_signals())  # see `hold_signals`
        self._start_what_is_due()
        while self._running or not (self._signals or self._none_can_start):
            self._sleep(LOOK_SECONDS)
            for number, (worker, started) in list(self._running.items()):
                if worker.poll() is not None:
                    self._ended(number, worker, started)
            self._start_what_is_due()

    def _start_what_is_due(self) -> None:
        for number, due in list(self._due.items()):
            if self._clock() >= due and not (self._signals or self._none_can_start):
                del self._due[number]
                self._start(number)

    def _start(self, number: int) -> None:
        environment = os.environ | ({} if self._metrics is None else {metrics.FOLDER: str(self._metrics)})
        worker = subprocess.Popen(  # noqa: S603
            command(self._fd), stdin=self._lifeline, pass_fds=(self._fd,), start_new_session=True, env=environment
        )
        self._running[number] = worker, self._clock()
        self._log.info("worker_started", pid=worker.pid)
        if self._signals:  # one arrived meanwhile
            worker.send_signal(signal.SIGTERM)

    def _ended(self, number: int, worker: "subprocess.Popen[bytes]", started: float) -> None:
        del self._running[number]
        if self._metrics is not None:
            metrics.forget(self._metrics, worker.pid)
        if worker.returncode == REFUSED:
            self._refusing.add(number)
        else:
            self._refusing.discard(number)
        if not self._signals:
            self._log.error("worker_died", pid=worker.pid, code=worker.returncode)
            self._due[number] = started + MIN_LIFE_SECONDS

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        for worker, _ in list(self._running.values()):
            worker.send_signal(signal.SIGTERM)


@contextmanager
def _shared_folder(log: Log) -> Iterator[Path | None]:
    """Yield the folder for the workers' shared metrics, or None if none is writable: each then reports its own."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="hookcast-metrics-")
    except OSError as error:
        log.warning("metrics_of_each_worker_alone", reason=str(error))
        yield None
        return
    with folder as path:
        yield Path(path)


@contextmanager
def _pipe() -> Iterator[int]:
    """Yield the read end of a pipe; the write end stays open until the block ends or this process dies."""
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)
