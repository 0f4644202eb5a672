"""The parser of event streams, by the grammar of WHATWG HTML, section 9.2.6."""

import pytest

from hookcast.client.eventstream import Event, Parser

STREAM = (
    "retry: 1500\nid: 1\nevent: job\ndata: {\n: ping\ndata:}\n\n"
    "data: a\u2028b\r\n\r\nevent: none\n\nretry: soon\n: ping\nunknown: 1\rdata\r\rretry: 20\n"
)
EVENTS = [
    Event("retry", "1500"),
    Event("job", "{\n}"),
    Event("message", "a\u2028b"),
    Event("message", ""),
    Event("retry", "20"),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_stream_is_parsed_however_it_is_cut(size: int) -> None:
    """Comments, unknown fields, blocks without data; a line ends with LF, CR or CRLF only."""
    parser, found = Parser(), list[Event]()
    for start in range(0, len(STREAM), size):
        found += parser.feed(STREAM[start : start + size])
    assert found == EVENTS


def test_a_reconnection_time_counts_when_its_line_ends() -> None:
    """Also as the last line of a stream, which no blank line follows."""
    parser = Parser()
    assert list(parser.feed("retry: 75")) == []
    assert list(parser.feed("00\n")) == [Event("retry", "7500")]


def test_an_incomplete_event_at_the_end_is_no_event() -> None:
    """The connection broke in the middle of it."""
    assert list(Parser().feed("event: job\ndata: {}\n")) == []
