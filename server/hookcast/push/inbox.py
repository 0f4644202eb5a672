"""What a WebSocket client sends: bytes in, messages and answering bytes out; sans-I/O.

Parsing and its strictness (masking, sizes, fragmentation, UTF-8, close handshake) are those of the websockets library
(RFC 6455). An inbox is only needed between the first byte of a message and its last one: `idle` says when it holds
nothing, so that a connection that listens costs no parser.
"""

from typing import NamedTuple

from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import SERVER, Protocol

MAX_MESSAGE_BYTES = 64 * 1024
_DATA = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})


class Received(NamedTuple):
    """Whole messages (None stands for a binary one), what must be answered, and whether the connection is over."""

    messages: list[str | None]
    reply: bytes
    closed: bool


class Inbox:
    """One connection's incoming side. After `closed` nothing more is looked at."""

    __slots__ = ("_binary", "_fragmented", "_held", "_message", "_parser")

    def __init__(self) -> None:
        self._parser = Protocol(SERVER, max_size=MAX_MESSAGE_BYTES)
        self._held = b""
        self._message = bytearray()
        self._binary = False
        self._fragmented = False

    @property
    def idle(self) -> bool:
        """Whether every message that began has ended."""
        return not self._held and not self._fragmented

    def receive(self, data: bytes) -> Received:
        """Take bytes off the wire. Frames are parsed one by one, so that the first mistake is the one that counts."""
        data = self._held + data
        start, messages = 0, list[str | None]()
        while self._parser.close_sent is None and (end := _frame_end(data, start)) is not None and end <= len(data):
            self._parser.receive_data(data[start:end])
            start = end
            self._collect(messages)
        self._held = data[start:]
        return Received(messages, b"".join(self._parser.data_to_send()), self._parser.close_sent is not None)

    def close(self) -> None:
        """Let go of the parser, which refers to itself, also by what it found wrong."""
        self._parser.parser.close()
        self._parser.parser_exc = None

    def _collect(self, messages: list[str | None]) -> None:
        for frame in self._parser.events_received():
            if not isinstance(frame, Frame) or frame.opcode not in _DATA:
                continue
            if frame.opcode is not Opcode.CONT:
                self._message.clear()
                self._binary = frame.opcode is not Opcode.TEXT
            self._message += frame.data  # not a list of parts: there may be any number of empty ones
            self._fragmented = not frame.fin
            if frame.fin:
                try:
                    messages.append(None if self._binary else self._message.decode())
                except UnicodeDecodeError:
                    self._parser.fail(CloseCode.INVALID_DATA, "invalid UTF-8")


def _frame_end(data: bytes, start: int) -> int | None:
    """Where the frame at `start` ends (RFC 6455 section 5.2); None when its header is not all here.

    One that is longer than allowed, or not masked, ends with what is there: the parser refuses it by its header.
    """
    if len(data) < start + 2:
        return None
    size, header = data[start + 1] & 0x7F, 2
    if size >= 126:
        extra = 2 if size == 126 else 8
        if len(data) < start + 2 + extra:
            return None
        size, header = int.from_bytes(data[start + 2 : start + 2 + extra]), 2 + extra
    mask = 4 if data[start + 1] & 0x80 else 0
    if size > MAX_MESSAGE_BYTES or not mask:
        return min(len(data), start + header + mask + size)
    return start + header + mask + size
