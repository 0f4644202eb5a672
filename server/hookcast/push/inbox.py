"""Sans-I/O parser of what a WebSocket client sends: bytes in, messages and reply bytes out.

Parsing and its strictness (masking, sizes, fragmentation, UTF-8, close handshake) are those of the websockets library
(RFC 6455). An inbox is needed only from the first byte of a message to its last: while `idle` it can be dropped, so a
connection that only listens needs no parser.
"""

from typing import NamedTuple

from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import SERVER, Protocol

MAX_MESSAGE_BYTES = 64 * 1024
_DATA = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})


class Received(NamedTuple):
    """Complete messages (None for a binary one), the bytes to reply, and whether the connection is closed."""

    messages: list[str | None]
    reply: bytes
    closed: bool


def whole_text(data: bytes) -> str | None:
    """Return the text of data that is one whole unfragmented text frame of usual size, and nothing else.

    None for everything else, which a parser must judge. Most messages are like this: a parser costs ten times as much.
    """
    if len(data) < 6 or data[0] != 0x81 or not data[1] & 0x80:
        return None
    size, start = data[1] & 0x7F, 6
    if size == 126 and len(data) >= 8:
        size, start = int.from_bytes(data[2:4]), 8
        if size < 126:
            return None
    if size == 127 or len(data) != start + size:
        return None
    mask = (data[start - 4 : start] * (size // 4 + 1))[:size]
    try:
        return (int.from_bytes(data[start:]) ^ int.from_bytes(mask)).to_bytes(size).decode()
    except UnicodeDecodeError:
        return None


class Inbox:
    """The receiving side of one connection. Once `closed`, further data is not parsed."""

    __slots__ = ("_binary", "_fragmented", "_held", "_message", "_parser")

    def __init__(self) -> None:
        self._parser = Protocol(SERVER, max_size=MAX_MESSAGE_BYTES)
        self._held = b""
        self._message = bytearray()
        self._binary = False
        self._fragmented = False

    @property
    def idle(self) -> bool:
        """True if no message is incomplete."""
        return not self._held and not self._fragmented

    def receive(self, data: bytes) -> Received:
        """Parse bytes from the wire, frame by frame, so that the first protocol error is the one that counts."""
        data = self._held + data
        start, messages = 0, list[str | None]()
        while self._parser.close_sent is None and (end := _frame_end(data, start)) is not None and end <= len(data):
            self._parser.receive_data(data[start:end])
            start = end
            self._collect(messages)
        self._held = data[start:]
        return Received(messages, b"".join(self._parser.data_to_send()), self._parser.close_sent is not None)

    def close(self) -> None:
        """Break the parser's reference cycles, including the one through its exception."""
        self._parser.parser.close()
        self._parser.parser_exc = None

    def _collect(self, messages: list[str | None]) -> None:
        for frame in self._parser.events_received():
            if not isinstance(frame, Frame) or frame.opcode not in _DATA:
                continue
            if frame.opcode is not Opcode.CONT:
                self._message.clear()
                self._binary = frame.opcode is not Opcode.TEXT
            self._message += frame.data  # not a list of fragments: any number of them may be empty
            self._fragmented = not frame.fin
            if frame.fin:
                try:
                    messages.append(None if self._binary else self._message.decode())
                except UnicodeDecodeError:
                    self._parser.fail(CloseCode.INVALID_DATA, "invalid UTF-8")


def _frame_end(data: bytes, start: int) -> int | None:
    """Return where the frame at `start` ends (RFC 6455 section 5.2), or None if its header is incomplete.

    A frame that is too long, or not masked, ends with the data at hand: the parser rejects it by its header.
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
