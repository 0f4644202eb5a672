"""The parser of event streams."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookcast.client.eventstream import MAX_RETRY_SECONDS, PING, Event, EventParser

STREAM = (
    'retry: 1500\nid: 1\nevent: job\ndata: {"a":\ndata: 1}\n\n'
    ": ping\nretry: 9000\nevent: end\ndata: {}\n\nretry: 7000\n"
)
EVENTS = [Event("job", '{"a":\n1}'), Event(PING, ""), Event("end", "{}")]


def parsed(*pieces: str) -> tuple[list[Event], float]:
    """Return the events, and the reconnection time."""
    parser = EventParser()
    return [event for piece in pieces for event in parser.feed(piece)], parser.retry


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
@given(cuts=st.lists(st.integers(0, 200)))
def test_a_stream_is_the_same_however_it_is_cut_and_its_lines_end(end: str, cuts: list[int]) -> None:
    """A piece may end inside a line, and between CR and LF."""
    text = STREAM.replace("\n", end)
    places = [0, *sorted(cuts), len(text)]
    assert parsed(*(text[a:b] for a, b in pairwise(places))) == (EVENTS, 7.0)


@pytest.mark.parametrize("text", ["\n", "retry: 1500\n\n", ": hello\n\n", "event: job\n\n", "id: 1\n\n", "data: {}\n"])
def test_a_block_without_data_or_its_end_is_no_event(text: str) -> None:
    """As for a browser's EventSource."""
    assert parsed(text)[0] == []


def test_a_type_belongs_to_its_event() -> None:
    """An event without one is a message; colons and spaces within a value stay."""
    assert parsed("event: job\n\ndata:  a: b\n\ndata\n\n")[0] == [Event("message", " a: b"), Event("message", "")]


@pytest.mark.parametrize("value", ["9" * 400, "60001"])
def test_a_reconnection_time_has_a_bound(value: str) -> None:
    assert parsed(f"retry: {value}\n") == ([], MAX_RETRY_SECONDS)


@pytest.mark.parametrize("value", ["", "-1", "1.5", "soon", "\u0663"])
def test_a_reconnection_time_that_is_no_number_is_none(value: str) -> None:
    assert parsed(f"retry: 1500\nretry: {value}\n") == ([], 1.5)
