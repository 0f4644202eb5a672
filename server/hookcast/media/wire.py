"""A connection to a stranger: its reads have deadlines, its head a bound."""

import io
import socket
from collections.abc import Callable
from typing import IO

SILENCE_SECONDS = 30.0
MIN_BYTES = 1024 * 1024  # in `SILENCE_SECONDS` of waiting for the host: each copy holds a thread, and there are few
MAX_HEAD = 64 * 1024  # bytes of the answer's head, interim answers included
BLOCK = 8 * 1024  # for heads; what a file asks for goes past it


class TooSlow(TimeoutError):
    """The host sent fewer than `MIN_BYTES` in `SILENCE_SECONDS`."""


class Wire(io.RawIOBase):
    """Reads a socket; `reader` buffers it. Until `head_is_read`, all reads share the head's deadline and bound.

    After it, the host is measured by the time that reads wait for it: what happens between them is not its doing.
    """

    def __init__(self, sock: socket.socket, *, clock: Callable[[], float], head_seconds: float) -> None:
        super().__init__()
        self._sock = sock
        self._clock = clock
        self._until: float | None = clock() + head_seconds
        self._waited = 0.0  # seconds, in which `_count` bytes came
        self._count = 0
        self.reader = io.BufferedReader(self, BLOCK)

    def makefile(self, mode: str = "rb") -> IO[bytes]:
        """Return the reader: what HTTPResponse asks a socket for."""
        assert mode == "rb"  # noqa: S101 - the type's one use
        return self.reader

    def send(self, data: bytes) -> None:
        """Send a request. Raise TimeoutError when the host does not take it."""
        self._sock.settimeout(SILENCE_SECONDS)
        self._sock.sendall(data)

    def head_is_read(self) -> None:
        """From now on only silence and the least pace are bounded."""
        self._until = None
        self._waited, self._count = 0.0, 0
        self._sock.settimeout(SILENCE_SECONDS)

    def has_more(self) -> bool:
        """Return whether more bytes are there already, without waiting for any."""
        self._sock.settimeout(0)
        try:
            return bool(self.reader.peek(1))
        except OSError:
            return False

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # typeshed's Buffer is an alias
        """Read what has come. Raise TimeoutError after silence, or when the head takes too long or is too large.

        Raise TooSlow when the body comes too slowly.
        """
        began = self._clock()
        if self._until is not None:
            return self._read_head(buffer, self._until - began)
        if self._sock.gettimeout() != 0 and self._waited >= SILENCE_SECONDS:
            if self._count < MIN_BYTES:
                raise TooSlow
            self._waited, self._count = 0.0, 0
        count = self._sock.recv_into(buffer)
        self._waited += self._clock() - began
        self._count += count
        return count

    def _read_head(self, buffer: memoryview, seconds: float) -> int:
        if seconds <= 0:
            raise TimeoutError
        if self._count >= MAX_HEAD:
            raise ValueError("its answer's head is too large")
        self._sock.settimeout(min(seconds, SILENCE_SECONDS))
        count = self._sock.recv_into(buffer)
        self._count += count
        return count
