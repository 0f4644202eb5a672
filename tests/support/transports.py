"""A transport without a network, which records what is written."""

import asyncio
from typing import Any

from hookcast.push.direct import KERNEL_BYTES


class FakeTransport(asyncio.Transport):
    """Records writes. A `stuck` reader accepts only what the kernel buffers, until `read`."""

    def __init__(self, *, stuck: bool = False) -> None:
        super().__init__()
        self.protocol: Any = None
        self.stuck = stuck
        self.sent = bytearray()
        self.unread = 0
        self.closing = self.aborted = self.paused = self.lost = False
        self.reading = True
        self.high = 64 * 1024

    def write(self, data: Any) -> None:
        """Record the data, and pause the protocol above the high-water mark."""
        if self.lost:
            raise RuntimeError("the handler is closed")  # as uvloop does
        self.sent += data
        self.unread += len(data) if self.stuck else 0
        if self.unread > KERNEL_BYTES + self.high and not self.paused:
            self.paused = True
            self.protocol.pause_writing()

    def read(self) -> None:
        """Simulate a reader that drains everything and continues reading."""
        self.stuck, self.unread = False, 0
        if self.paused:
            self.paused = False
            self.protocol.resume_writing()

    def lose(self) -> None:
        """Simulate a connection lost to the network."""
        self.closing = self.lost = True
        self.protocol.connection_lost(ConnectionResetError())

    def take(self) -> bytes:
        """Return everything written since the last call."""
        taken = bytes(self.sent)
        self.sent.clear()
        return taken

    def close(self) -> None:
        """Record the close."""
        self.closing = True

    def abort(self) -> None:
        """Record the abort."""
        self.closing = self.aborted = True

    def was_aborted(self) -> bool:
        """Return whether the connection was aborted."""
        return self.aborted

    def is_closing(self) -> bool:
        """Return whether the connection was closed."""
        return self.closing

    def is_reading(self) -> bool:
        """Return whether reading is enabled."""
        return self.reading

    def pause_reading(self) -> None:
        """Disable reading."""
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        """Enable reading."""
        assert not self.reading
        self.reading = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:  # noqa: ARG002
        """Store the high-water mark."""
        self.high = high or 0
