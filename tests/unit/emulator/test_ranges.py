"""The `Range` header of a request for a file."""

import pytest

from hookcast.emulator.ranges import part


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("bytes=0-0", range(1)),
        ("bytes=10-19", range(10, 20)),
        ("bytes=90-", range(90, 100)),
        ("bytes=90-1000", range(90, 100)),
        ("bytes=-10", range(90, 100)),
        ("bytes=-1000", range(100)),
    ],
)
def test_range_is_read(header: str, wanted: range) -> None:
    assert part(header, 100) == wanted


@pytest.mark.parametrize(
    "header", [None, "", "bytes=", "bytes=-", "bytes=5-4", "bytes=0-1,3-4", "bytes=a-b", "lines=1-2", "bytes=٣-"]
)
def test_other_header_asks_for_all(header: str | None) -> None:
    assert part(header, 100) == range(100)


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_range_beyond_the_end_is_none(header: str) -> None:
    assert part(header, 100) is None


def test_empty_file_is_whole() -> None:
    assert part(None, 0) == range(0)
