"""JSON as fal sends it."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from hookcast.fal.lenient_json import decode

UNITS = st.lists(st.integers(0, 0xFFFF) | st.integers(0xD800, 0xDFFF), max_size=8)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (rb'"x\ud83d"', rb'"x\ufffd"'),
        (rb'"\uDE00 and more of it"', rb'"\ufffd and more of it"'),
        (rb'"\ud83d\u0041"', rb'"\ufffd\u0041"'),
        (rb'"\ud83d\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
        (rb'{"a": "\\\ud83d", "b": "\\ud83d"}', rb'{"a": "\\\ufffd", "b": "\\ud83d"}'),
        (b'{ "n":12345678901234567890,"e":"\\ud83d\\ude00" }', b'{ "n":12345678901234567890,"e":"\\ud83d\\ude00" }'),
    ],
)
def test_half_an_emoji_is_read_as_a_replacement_character_and_all_else_is_kept(text: bytes, read: bytes) -> None:
    assert bytes(decode(text, Raw)) == read


@given(UNITS)
def test_whatever_is_escaped_is_read(units: list[int]) -> None:
    """As Python reads it, which keeps halves."""
    text = "".join(f"\\u{unit:04x}" for unit in units)
    wanted = json.loads(f'"{text}"').encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert decode(f'"{text}"'.encode(), str) == wanted


@pytest.mark.parametrize("text", [b"", b"{", rb'"\ud83d', rb'"\q"', rb'{"a": "\ud83d"'])
def test_what_is_no_json_is_refused(text: bytes) -> None:
    """With the parser's own error."""
    with pytest.raises(msgspec.DecodeError):
        decode(text, Raw)
