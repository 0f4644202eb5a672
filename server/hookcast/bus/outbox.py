"""The messages of a node that wait to be published, bounded in bytes: beyond the bound, the oldest are dropped."""

from collections import deque
from collections.abc import Iterable

MAX_BYTES = 32 * 1024 * 1024
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""Of a message that is published: others wait behind it, and Redis drops a subscriber for which more than 32 MB wait; a
state comes by up to four topics. Other nodes read a larger one from the database."""
PORTION_BYTES = 1024 * 1024
PORTION = 200  # messages published at once
OVERHEAD = 250  # bytes of Python's objects for a message, so that small ones are bounded, too

Message = tuple[str, bytes]


class Outbox:
    """Pairs of channel and payload, in order. Its length is their number."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, channels: Iterable[str], payload: bytes) -> None:
        """Add a message to each channel, unless it is too large; drop the oldest ones beyond `MAX_BYTES`."""
        if len(payload) > MAX_MESSAGE_BYTES:
            return
        for channel in channels:
            self._messages.append((channel, payload))
            self._bytes += len(payload) + OVERHEAD
        while self._bytes > MAX_BYTES:
            self._pop()

    def take(self) -> list[Message]:
        """Remove and return the next messages: at most `PORTION`, and `PORTION_BYTES` unless it is one."""
        found, size = list[Message](), 0
        while self._messages and len(found) < PORTION:
            size += len(self._messages[0][1])
            if found and size > PORTION_BYTES:
                break
            found.append(self._pop())
        return found

    def clear(self) -> None:
        """Drop all."""
        self._messages.clear()
        self._bytes = 0

    def _pop(self) -> Message:
        message = self._messages.popleft()
        self._bytes -= len(message[1]) + OVERHEAD
        return message
