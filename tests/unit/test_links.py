"""Links in results."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from hookcast.jobs import MediaFile, MediaStatus
from hookcast.links import linked, without_data
from hookcast.splicing import Spot

KEPT = MediaFile(source="https://fal.example/x", spots=(), status=MediaStatus.KEPT, key="k")


def spots_of(result: bytes, token: bytes) -> tuple[Spot, ...]:
    """Where the token stands."""
    found, start = [], result.find(token)
    while start >= 0:
        found.append(Spot(start, start + len(token)))
        start = result.find(token, start + 1)
    return tuple(found)


@given(st.lists(st.text("ab{}[]: \n", max_size=5), min_size=2, max_size=6))
def test_every_other_byte_stays(parts: list[str]) -> None:
    token = b'"https://fal.example/x"'
    result = token.join(part.encode() for part in parts)
    file = replace(KEPT, spots=spots_of(result, token))
    assert bytes(linked(Raw(result), (file,), lambda _: "/m") or b"") == b'"/m"'.join(part.encode() for part in parts)


def test_a_link_is_json_text() -> None:
    file = replace(KEPT, spots=(Spot(0, 2),))
    assert bytes(linked(Raw(b'""'), (file,), lambda _: 'a"b') or b"") == b'"a\\"b"'


def test_data_uris_leave_the_result_and_every_spot_moves_with_its_text() -> None:
    result = b'{"a":"data:image/png;base64,AAAA","b":"https://fal.example/x","c":"data:image/png;base64,AAAA","d":1}'
    data = spots_of(result, b'"data:image/png;base64,AAAA"')
    files = (
        replace(KEPT, source="data:image/png", spots=data, key="1"),
        replace(KEPT, spots=spots_of(result, b'"https://fal.example/x"'), key="2"),
    )
    shorter, moved = without_data(Raw(result), files)
    assert b"base64" not in bytes(shorter)
    assert msgspec.json.decode(linked(shorter, moved, lambda key: f"/{key}") or b"") == {
        "a": "/1",
        "b": "/2",
        "c": "/1",
        "d": 1,
    }


def test_data_that_is_not_kept_stays() -> None:
    file = MediaFile(source="data:image/png", spots=(Spot(0, 9),), status=MediaStatus.LEFT)
    assert without_data(Raw(b'"data:,a"'), (file,)) == (Raw(b'"data:,a"'), (file,))


def test_a_file_that_has_no_link_now_keeps_fals() -> None:
    result = b'{"a":"https://fal.example/x"}'
    file = replace(KEPT, spots=spots_of(result, b'"https://fal.example/x"'))
    assert bytes(linked(Raw(result), (file,), lambda _: None) or b"") == result
