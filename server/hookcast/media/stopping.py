"""A switch that stops a copy from another thread, even while it waits for a peer."""

import contextlib
import socket
import threading
from collections.abc import Iterator

from hookcast.media.failures import Stopped
from hookcast.media.precedence import Precedence


class Stop:
    """The switch of one copy. Its thread calls `pause` between blocks and `watch` around what may block."""

    def __init__(self, precedence: Precedence | None = None) -> None:
        self._precedence = precedence or Precedence()
        self._lock = threading.Lock()
        self._on = False
        self._sockets: set[socket.socket] = set()

    def set(self) -> None:
        """Stop the copy. Idempotent; callable from any thread."""
        with self._lock:
            self._on = True
            for sock in self._sockets:
                with contextlib.suppress(OSError):  # already disconnected
                    sock.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for it; close does not

    def check(self) -> None:
        """Raise Stopped once the switch is on."""
        if self._on:
            raise Stopped

    def pause(self) -> None:
        """Give way to webhooks, then check."""
        self._precedence.give_way()
        self.check()

    @contextlib.contextmanager
    def watch(self, sock: socket.socket) -> Iterator[None]:
        """Disconnect the socket when the switch goes on inside the block."""
        with self._lock:
            self._sockets.add(sock)
        try:
            self.check()
            yield
        except Exception:
            self.check()  # the disconnection was ours
            raise
        finally:
            with self._lock:
                self._sockets.discard(sock)
