"""Byte mutations that tend to break parsers; deterministic for the given Random."""

from collections.abc import Callable, Sequence
from random import Random

JSON_TOKENS: Sequence[bytes] = (
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b'"',
        b"\\",
        b"null",
        b"true",
        b"-",
        b"0",
        b"1e999",
        b"-0",
        b"NaN",
        b"Infinity",
    ),
    *(b"\0", b"\r\n", b"\n\n", b"\r", b"\xff", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", b"\xef\xbb\xbf"),
    *(
        b"\xe2\x80\xa8",
        b"\xe2\x80\xa9",
        b"\\ud800",
        b"\\udc00\\ud800",
        b"\\u0000",
        b"\\u2028",
        b"</script>",
        b"data: x\n\n",
    ),
    *(b"..", b"/", b"%00", b"%0d%0a", b"'; DROP TABLE jobs; --", b"9" * 400, b"1." + b"0" * 400 + b"1", b"a" * 300),
    *(
        b"[" * 2000,
        b'{"a":' * 1500,
        b"\xf0\x9f\x90\x88" * 60,
        b'"request_id":',
        b'"status":"OK"',
        b'"payload":',
        b'"error":',
    ),
)

Step = Callable[[Random, bytes], bytes]


def mutate(random: Random, data: bytes, *, most: int = 4) -> bytes:
    """Return `data` after 1 to `most` small mutations."""
    for _ in range(random.randint(1, most)):
        data = random.choice(STEPS)(random, data)
    return data


def _span(random: Random, data: bytes) -> tuple[int, int]:
    start = random.randint(0, len(data))
    return start, min(len(data), start + random.choice((1, 2, 4, 8, 32, 128)))


def _flip(random: Random, data: bytes) -> bytes:
    if not data:
        return data
    place = random.randrange(len(data))
    return data[:place] + bytes((data[place] ^ (1 << random.randrange(8)),)) + data[place + 1 :]


def _drop(random: Random, data: bytes) -> bytes:
    start, end = _span(random, data)
    return data[:start] + data[end:]


def _repeat(random: Random, data: bytes) -> bytes:
    start, end = _span(random, data)
    return data[:end] + data[start:end] * random.choice((1, 2, 16)) + data[end:]


def _insert(random: Random, data: bytes) -> bytes:
    place = random.randint(0, len(data))
    return data[:place] + random.choice(JSON_TOKENS) + data[place:]


def _noise(random: Random, data: bytes) -> bytes:
    place = random.randint(0, len(data))
    return data[:place] + random.randbytes(random.choice((1, 3, 17))) + data[place:]


def _cut(random: Random, data: bytes) -> bytes:
    return data[: random.randint(0, len(data))]


def _move(random: Random, data: bytes) -> bytes:
    start, end = _span(random, data)
    place, rest = random.randint(0, len(data)), data[:start] + data[end:]
    return rest[:place] + data[start:end] + rest[place:]


STEPS: Sequence[Step] = (_flip, _flip, _drop, _repeat, _insert, _insert, _noise, _cut, _move)


def cuts(random: Random, data: bytes) -> list[bytes]:
    """Split the data into 1 to 6 pieces."""
    places = sorted(random.randint(0, len(data)) for _ in range(random.randint(0, 5)))
    return [piece for piece in (data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)) if piece]
