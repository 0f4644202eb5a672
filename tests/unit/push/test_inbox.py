"""What a WebSocket client sends, as strictly as RFC 6455 has it and however it is cut into pieces."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import SERVER, Protocol

from hookcast.push.inbox import MAX_MESSAGE_BYTES, Inbox, whole_text

MASK = b"\x37\xfa\x21\x3d"


def frame(first: int, payload: bytes = b"", *, mask: bool = True, length: bytes | None = None) -> bytes:
    """A client's frame: `first` is FIN, RSV and opcode."""
    size = len(payload)
    head = bytes([first, (0x80 if mask else 0) | (size if size < 126 else 126 if size < 65536 else 127)])
    extended = b"" if size < 126 else struct.pack("!H" if size < 65536 else "!Q", size)
    if length is not None:
        head, extended = bytes([first, (0x80 if mask else 0) | length[0]]), length[1:]
    masked = bytes(byte ^ MASK[place % 4] for place, byte in enumerate(payload)) if mask else payload
    return head + extended + (MASK if mask else b"") + masked


def close(code: int, reason: bytes = b"") -> bytes:
    """A client's close frame."""
    return frame(0x88, struct.pack("!H", code) + reason)


def feed(data: bytes, cuts: tuple[int, ...] = ()) -> tuple[list[str | None], bytes, bool]:
    """All messages, all answers, and whether it was closed; parsers are dropped whenever the inbox is idle."""
    messages: list[str | None] = []
    reply, inbox = b"", None
    places = [0, *cuts, len(data)]
    for start, end in pairwise(places):
        inbox = inbox or Inbox()
        received = inbox.receive(data[start:end])
        messages += received.messages
        reply += received.reply
        if received.closed:
            return messages, reply, True
        inbox = None if inbox.idle else inbox
    return messages, reply, False


REFUSED = {
    "not masked": (frame(0x81, b"a", mask=False), 1002),
    "RSV1": (frame(0xC1, b"a"), 1002),
    "RSV2": (frame(0xA1, b"a"), 1002),
    "RSV3": (frame(0x91, b"a"), 1002),
    "reserved data opcode": (frame(0x83, b"a"), 1002),
    "reserved control opcode": (frame(0x8B, b"a"), 1002),
    "ping of 126 bytes": (frame(0x89, b"a" * 126), 1002),
    "close of 126 bytes": (frame(0x88, b"\x03\xe8" + b"a" * 124), 1002),
    "fragmented ping": (frame(0x09, b"a"), 1002),
    "fragmented close": (frame(0x08, b"\x03\xe8"), 1002),
    "continuation of nothing": (frame(0x80, b"a"), 1002),
    "new message inside another": (frame(0x01, b"a") + frame(0x81, b"b"), 1002),
    "close inside a message": (frame(0x01, b"a") + close(1000), 1002),
    "close of one byte": (frame(0x88, b"\x03"), 1002),
    "close 999": (close(999), 1002),
    "close 1004": (close(1004), 1002),
    "close 1005": (close(1005), 1002),
    "close 1006": (close(1006), 1002),
    "close 1015": (close(1015), 1002),
    "close 2999": (close(2999), 1002),
    "close 5000": (close(5000), 1002),
    "close with a reason that is no UTF-8": (close(1000, b"\xff"), 1007),
    "text that is no UTF-8": (frame(0x81, b"\xce\xba\xff"), 1007),
    "text that ends within a character": (frame(0x81, b"\xe2\x82"), 1007),
    "a surrogate": (frame(0x81, b"\xed\xa0\x80"), 1007),
    "one byte too many": (frame(0x81, b"a" * (MAX_MESSAGE_BYTES + 1)), 1009),
    "one byte too many in two fragments": (frame(0x01, b"a" * MAX_MESSAGE_BYTES) + frame(0x80, b"a"), 1009),
    "a length of 2^63": (frame(0x81, length=b"\x7f\x80" + b"\0" * 7), 1009),
    "a length of 2^40": (frame(0x82, length=b"\x7f\0\0\x01" + b"\0" * 5), 1009),
}


@pytest.mark.parametrize(("data", "code"), REFUSED.values(), ids=REFUSED)
def test_what_the_rfc_forbids_closes_with_the_right_code(data: bytes, code: int) -> None:
    """At once and byte by byte, and nothing after it is looked at."""
    for cuts in ((), tuple(range(1, len(data)))) if len(data) < 1000 else ((), (len(data) // 2,)):
        messages, reply, closed = feed(data, cuts)
        assert (messages, closed) == ([], True)
        assert reply[0] == 0x88
        assert int.from_bytes(reply[2:4]) == code


TAKEN = {
    "text": (frame(0x81, b"abc"), ["abc"], b""),
    "empty text": (frame(0x81), [""], b""),
    "binary": (frame(0x82, b"\xff"), [None], b""),
    "fragments": (frame(0x01, b"a") + frame(0x00) + frame(0x80, b"b"), ["ab"], b""),
    "a character split over fragments": (frame(0x01, b"\xe2\x82") + frame(0x80, b"\xac"), ["\u20ac"], b""),
    "a ping between fragments": (frame(0x01, b"a") + frame(0x89, b"p") + frame(0x80, b"b"), ["ab"], b"\x8a\x01p"),
    "a pong nobody asked for": (frame(0x8A, b"p"), [], b""),
    "a ping of 125 bytes": (frame(0x89, b"p" * 125), [], b"\x8a\x7d" + b"p" * 125),
    "the longest message": (frame(0x81, b"a" * MAX_MESSAGE_BYTES), ["a" * MAX_MESSAGE_BYTES], b""),
}


@pytest.mark.parametrize(("data", "messages", "reply"), TAKEN.values(), ids=TAKEN)
def test_what_the_rfc_allows_is_taken(data: bytes, messages: list[str | None], reply: bytes) -> None:
    """And afterwards nothing needs to be kept."""
    assert feed(data) == (messages, reply, False)
    inbox = Inbox()
    inbox.receive(data)
    assert inbox.idle


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1011, 3000, 4000, 4999])
def test_a_close_is_answered_with_its_own_code(code: int) -> None:
    """What follows it is not looked at."""
    assert feed(close(code, b"bye") + frame(0x81, b"late")) == (
        [],
        b"\x88\x05" + struct.pack("!H", code) + b"bye",
        True,
    )


def test_a_close_without_a_code_is_answered_without_one() -> None:
    assert feed(frame(0x88)) == ([], b"\x88\x00", True)


def test_a_parser_is_kept_only_within_a_message() -> None:
    """Between messages the inbox holds nothing."""
    inbox = Inbox()
    states = []
    for part in (b"\x81", b"\x81" + MASK, b"V", frame(0x01, b"a"), frame(0x89), frame(0x80, b"b"), frame(0x89)):
        inbox.receive(part)
        states.append(inbox.idle)
    assert states == [False, False, True, False, False, True, True]


FRAMES = st.one_of(
    st.builds(
        lambda fin, opcode, payload: frame((0x80 if fin else 0) | opcode, payload),
        st.booleans(),
        st.sampled_from([0, 1, 2, 8, 9, 10, 11]),
        st.binary(max_size=130) | st.text(max_size=20).map(str.encode),
    ),
    st.sampled_from(
        [data for data in (*(d for d, _ in REFUSED.values()), *(d for d, _, _ in TAKEN.values())) if len(data) < 1000]
    ),
)


@given(frames=st.lists(FRAMES, max_size=12), places=st.lists(st.integers(0, 400), max_size=20))
def test_pieces_and_dropped_parsers_make_no_difference(frames: list[bytes], places: list[int]) -> None:
    """A plain parser of the whole says the same: messages, answers, close."""
    data = b"".join(frames)
    cuts = tuple(sorted(place for place in places if place < len(data)))
    assert feed(data, cuts) == _plain(data)


@given(frames=st.lists(FRAMES | st.binary(max_size=10), max_size=6))
def test_byte_by_byte_is_the_same_as_all_at_once(frames: list[bytes]) -> None:
    data = b"".join(frames)
    assert feed(data, tuple(range(1, len(data)))) == feed(data)


def test_the_first_mistake_counts_also_when_all_arrives_at_once() -> None:
    """Text that is no UTF-8, and then a frame that may not be."""
    _, reply, closed = feed(frame(0x81, b"\xff") + frame(0x89, b"p") + frame(0x80))
    assert (int.from_bytes(reply[2:4]), closed) == (1007, True)


def _plain(data: bytes) -> tuple[list[str | None], bytes, bool]:
    """The same by the library's parser alone, up to the first text that is no UTF-8."""
    protocol = Protocol(SERVER, max_size=MAX_MESSAGE_BYTES)
    messages: list[str | None] = []
    parts, binary = b"", False
    for place in range(len(data)):
        protocol.receive_data(data[place : place + 1])
        for event in protocol.events_received():
            assert isinstance(event, Frame)
            if event.opcode in {Opcode.TEXT, Opcode.BINARY}:
                parts, binary = b"", event.opcode is Opcode.BINARY
            if event.opcode not in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
                continue
            parts += event.data
            if event.fin:
                try:
                    messages.append(None if binary else parts.decode())
                except UnicodeDecodeError:
                    protocol.fail(1007, "invalid UTF-8")
        if protocol.close_sent is not None:
            break
    return messages, b"".join(protocol.data_to_send()), protocol.close_sent is not None


@given(st.text(max_size=300), st.binary(min_size=4, max_size=4))
def test_a_whole_text_frame_is_read_as_the_parser_reads_it(text: str, mask: bytes) -> None:
    """Whatever its size and its mask."""
    data = Frame(Opcode.TEXT, text.encode()).serialize(mask=False)
    head = bytes([data[0], data[1] | 0x80]) + (data[2:4] if data[1] == 126 else b"")
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(text.encode()))
    assert whole_text(head + mask + masked) == text
    assert feed(head + mask + masked) == ([text], b"", False)


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda data: b"\x81" + data))
def test_what_the_parser_would_refuse_is_no_whole_text(data: bytes) -> None:
    """Nor is half a frame, or more than one."""
    found = whole_text(data)
    if found is not None:
        assert feed(data) == ([found], b"", False)


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_frame_is_no_whole_text(name: str) -> None:
    assert whole_text(REFUSED[name][0]) is None
