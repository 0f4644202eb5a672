"""Fuzzed WebSocket input, and the check of everything a server may send in response."""

import struct
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import msgspec

from support.mutation import JSON_TOKENS, mutate
from support.raw import UPGRADE

CODES = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})
"""Allowed close codes (RFC 6455 section 7.4): a client's own code is echoed."""
FAULT = b"\x03\xf3internal error"
TYPES = frozenset({"subscribed", "job", "ping", "error"})
MARK = b"the end"
_MESSAGES: Sequence[dict[str, Any]] = (
    {"type": "subscribe", "requestIds": ["job-1", "job-2"]},
    {"type": "subscribe", "groups": ["g"], "requestIds": []},
    {"type": "subscribe", "requestIds": [f"job-{number}" for number in range(200)]},
    {"type": "subscribe", "requestIds": [f"job-{number}" for number in range(201)]},
    {"type": "subscribe", "requestIds": ["é", "\u2028", "a b", "</script>", "a" * 200], "token": "x"},
    {"type": "subscribe", "requestIds": ["../a"]},
    {"type": "unsubscribe", "requestIds": ["job-1", "never"]},
    {"type": "unsubscribe", "groups": ["g"]},
    {"type": "ping"},
)


def conversation(random: Random) -> tuple[bytes, bytes]:
    """Return the upgrade and the frames after it; one upgrade in ten is mutated."""
    upgrade = UPGRADE if random.random() < 0.9 else mutate(random, UPGRADE[:-4]) + b"\r\n\r\n"
    said = b"".join(_frame(random) for _ in range(random.randint(1, 4)))
    return upgrade, mutate(random, said) if random.random() < 0.4 else said


def frame(random: Random, first: int, payload: bytes) -> bytes:
    """Return a masked frame (RFC 6455 section 5.2)."""
    size, mask = len(payload), random.randbytes(4)
    length = bytes((0x80 | size,)) if size < 126 else b"\xff" + size.to_bytes(8)
    if 126 <= size < 1 << 16:
        length = b"\xfe" + size.to_bytes(2)
    key = int.from_bytes((mask * (size // 4 + 1))[:size])
    return bytes((first,)) + length + mask + (int.from_bytes(payload) ^ key).to_bytes(size)


def ping(random: Random) -> bytes:
    """Return a ping; its pong proves that all input before it was read and the connection is open."""
    return frame(random, 0x89, MARK)


PONG = bytes((0x8A, len(MARK))) + MARK


def _frame(random: Random) -> bytes:
    luck, payload = random.random(), _payload(random)
    if luck < 0.6:
        return frame(random, 0x81, payload)
    if luck < 0.75:
        place = random.randint(0, len(payload))
        between = frame(random, 0x89, b"p") if random.random() < 0.5 else b""
        return frame(random, 0x01, payload[:place]) + between + frame(random, 0x80, payload[place:])
    if luck < 0.85:
        return frame(random, random.choice((0x89, 0x8A)), random.randbytes(random.choice((0, 5, 125, 126))))
    if luck < 0.9:
        return frame(
            random, 0x88, random.choice((b"", b"\x03", struct.pack("!H", random.randrange(6000)) + payload[:9]))
        )
    return frame(random, random.randrange(256), payload)


def _payload(random: Random) -> bytes:
    luck = random.random()
    if luck < 0.02:
        return b"a" * random.choice((65_535, 65_536, 65_537))
    if luck < 0.05:
        return b"".join(random.choices(JSON_TOKENS, k=random.randrange(6)))
    plain = msgspec.json.encode(random.choice(_MESSAGES))
    return plain if luck < 0.6 else mutate(random, plain, most=3)


def wrong(answer: bytes, *, cut: bool) -> str | None:
    """Return the first violation in the server's output, or None; `cut` = its end may be missing."""
    head, found, frames = answer.partition(b"\r\n\r\n")
    status = head[9:12]
    if not found:
        return None if cut or not head else "half a head"
    if status != b"101":
        return None if status[:1] < b"5" else f"the upgrade is answered {status!r}"
    try:
        return next((wrongness for opcode, payload in _frames(frames) if (wrongness := _unlike(opcode, payload))), None)
    except ValueError as error:
        return None if cut else str(error)


def _frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place < len(data):
        head = data[place : place + 10]
        extra = {126: 2, 127: 8}.get(head[1] if len(head) > 1 else 0, 0)
        size = int.from_bytes(head[2 : 2 + extra]) if extra else head[-1] if len(head) == 1 else head[1]
        end = place + 2 + extra + size
        if end > len(data):
            raise ValueError("half a frame")
        yield data[place], data[place + 2 + extra : end]
        place = end


def _unlike(first: int, payload: bytes) -> str | None:
    if first == 0x81:
        message = msgspec.json.decode(payload)
        return None if message.get("type") in TYPES else f"an unknown message {message}"
    if first == 0x88:
        code = int.from_bytes(payload[:2])
        fine = not payload or (code in CODES and payload != FAULT)
        return None if fine else f"closed with {payload!r}"
    return None if first == 0x8A else f"a frame that begins with {first:#x}"
