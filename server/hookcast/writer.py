"""Writes lines so that a log that nobody reads never blocks; beyond the buffer they are dropped and counted."""

import atexit
import os
import select
import signal
import threading
from collections.abc import Callable

from hookcast.signals import stop_signals

ROOM_BYTES = 256 * 1024  # of unwritten lines
GATHER_SECONDS = 0.005  # lines of this period are written together: a thread switch costs more than a line
EXIT_SECONDS = 1.0  # for the last lines


class Writer:
    """Writes lines to a file descriptor in a thread, so that no caller waits for their reader.

    Lines beyond a buffer of `ROOM_BYTES` are dropped; once there is room, `on_dropped` is told how many. Thread-safe.
    """

    def __init__(self, fd: int, on_dropped: Callable[[int], None]) -> None:
        self._fd = fd
        self._on_dropped = on_dropped
        self._change = threading.Condition()
        self._lines: list[bytes] = []
        self._size = 0  # of the lines, and of those being written
        self._dropped = 0
        self._closed = False
        self._torn = False
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)

    def start(self) -> None:
        """Start writing; the lines so far are flushed at exit."""
        self._thread.start()
        atexit.register(self.close)

    def write(self, line: bytes) -> None:
        """Write a line without its end, soon."""
        with self._change:
            if self._size + len(line) >= ROOM_BYTES:
                self._dropped += 1
                return
            if not self._lines:
                self._change.notify_all()
            self._lines.append(line)
            self._size += len(line) + 1

    def flush(self) -> None:
        """Wait until every line is written, for at most `EXIT_SECONDS`."""
        with self._change:
            self._change.wait_for(lambda: not self._size or not self._thread.is_alive(), EXIT_SECONDS)

    def close(self) -> None:
        """Flush, and stop the thread unless it hangs in a write."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        self.flush()

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals())  # they are the main thread's, which may hold them
        while lines := self._next():
            written = self._put(b"\n".join([*lines, b""]))
            with self._change:
                self._size -= sum(map(len, lines)) + len(lines)
                dropped, self._dropped = (self._dropped, 0) if written else (0, self._dropped + len(lines))
                self._change.notify_all()
            if dropped:
                self._on_dropped(dropped)

    def _next(self) -> list[bytes]:
        """Return the buffered lines; empty at the end."""
        with self._change:
            self._change.wait_for(lambda: self._lines or self._closed)
            if not self._closed:
                self._change.wait_for(lambda: self._closed, GATHER_SECONDS)
            lines, self._lines = self._lines, []
            return lines

    def _put(self, data: bytes) -> bool:
        """Write all of the data, however long it takes. Return whether that succeeded.

        After a line that could only be written in part, the next one begins a line of its own.
        """
        rest = memoryview(b"\n" + data if self._torn else data)
        size = len(rest)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:  # another process that shares the file has made it non-blocking
                select.select((), (self._fd,), ())
            except OSError:
                self._torn = self._torn or len(rest) < size
                return False
        self._torn = False
        return True
