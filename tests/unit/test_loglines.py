"""How windows of fal's log and the lines of its streams become one log."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json

from hookcast.loglines import (
    KEPT_LOG_LINES,
    MAX_LINE_BYTES,
    MAX_LOG_BYTES,
    LogLine,
    StreamedLog,
    aligned,
    extended,
    log_line,
)

Lines = tuple[LogLine, ...]
REPEATING = st.lists(st.sampled_from(["step", "0%", "50%", "100%"]), max_size=140)


def said(*messages: str) -> Lines:
    """Lines without timestamps."""
    return tuple(LogLine(message=message) for message in messages)


def numbered(start: int, end: int) -> Lines:
    """Lines that differ."""
    return said(*map(str, range(start, end)))


def test_120_lines_without_timestamps_are_one_state_however_often_they_are_read() -> None:
    """The window is longer than what is kept."""
    window = numbered(0, 120)
    kept = aligned((), window)
    assert kept == window[-KEPT_LOG_LINES:]
    assert aligned(kept, window) == kept
    assert aligned(kept, (*window, *said("new"))) == (*kept[1:], *said("new"))


def test_equal_lines_are_two_lines() -> None:
    """In one window, and in two."""
    kept = aligned((), said("step", "step"))
    assert kept == said("step", "step")
    assert aligned(kept, said("step", "step", "step")) == said("step", "step", "step")
    assert aligned(said("a", "step"), said("step", "step")) == said("a", "step", "step")
    assert extended(said("step"), said("step")) == said("step", "step")


def test_a_window_that_slides_adds_what_is_behind_the_overlap() -> None:
    assert aligned(numbered(0, 10), numbered(5, 15)) == numbered(0, 15)
    assert aligned(numbered(0, 10), numbered(9, 11)) == numbered(0, 11)
    assert aligned(numbered(0, 50), numbered(45, 55)) == numbered(5, 55)


def test_a_window_that_has_passed_adds_all_its_lines() -> None:
    """More lines came than it holds."""
    assert aligned(numbered(0, 10), numbered(20, 30)) == (*numbered(0, 10), *numbered(20, 30))


def test_a_late_window_changes_nothing() -> None:
    """It was read before a newer one."""
    kept = numbered(0, 10)
    assert aligned(kept, numbered(0, 7)) is kept
    assert aligned(kept, numbered(3, 7)) is kept
    full = numbered(70, 120)
    assert aligned(full, numbered(0, 118)) == full
    old = tuple(LogLine(message=str(n), timestamp=f"2026-11-24T10:00:{n:02}Z") for n in range(60))
    assert aligned(old[50:], old[:40]) == old[50:]


def test_an_earlier_window_adds_its_older_lines() -> None:
    """What was kept began in the middle."""
    assert aligned(numbered(5, 10), numbered(0, 10)) == numbered(0, 10)
    assert aligned(numbered(5, 10), numbered(0, 9)) == numbered(0, 10)


@given(messages=REPEATING, steps=st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=12))
def test_any_mix_of_whole_windows_and_stream_lines_yields_the_end_of_the_log(
    messages: list[str], steps: list[tuple[int, bool]]
) -> None:
    """However lines repeat; and the log changes only when lines came."""
    log, end = said(*messages), 0
    kept: Lines = ()
    stream = StreamedLog(kept)
    stream.tell(())
    for count, streamed in steps:
        new = log[end : end + count]
        end += len(new)
        window = stream.tell(new)
        before, kept = kept, aligned(kept, window if streamed else log[:end])
        assert kept == log[:end][-KEPT_LOG_LINES:]
        assert new or kept == before
        assert aligned(kept, window) == kept


@given(
    ends=st.lists(st.integers(1, 30), min_size=1, max_size=8),
    size=st.integers(30, 200),
    reopened=st.sets(st.integers(0, 7)),
)
def test_any_mix_of_sliding_windows_and_reopened_streams_loses_and_invents_nothing(
    ends: list[int], size: int, reopened: set[int]
) -> None:
    """Of lines that differ; a stream begins with a window of the same size."""
    log, end = numbered(0, sum(ends)), 0
    kept: Lines = ()
    stream = StreamedLog(kept)
    for turn, count in enumerate(ends):
        before, end = end, end + count
        window = log[max(0, end - size) : end]
        if turn in reopened:
            stream = StreamedLog(kept)
            window = stream.tell(window)
        elif turn:
            window = stream.tell(log[before:end]) if turn % 2 else window
        kept = aligned(kept, window)
        if turn % 2 == 0 and turn not in reopened:
            stream = StreamedLog(kept)
            stream.tell(())
        assert kept == log[:end][-KEPT_LOG_LINES:]
        assert aligned(kept, window) == kept


def test_a_stream_that_repeats_its_log_in_each_event_is_read_as_windows() -> None:
    """By the timestamp of its first line."""
    lines = tuple(LogLine(message="step", timestamp=f"2026-11-24T10:00:{n:02}Z") for n in range(3))
    stream = StreamedLog(())
    assert [stream.tell(lines[: n + 1]) for n in range(3)] == [lines[:1], lines[:2], lines]


@pytest.mark.parametrize("stamped", [False, True])
@pytest.mark.parametrize("first", [0, 1, 3])
def test_a_reopened_stream_that_tells_its_log_from_the_start_invents_nothing(first: int, stamped: bool) -> None:
    """In several events, before what is new."""
    log = tuple(LogLine(message=str(n), timestamp=f"10:00:{n:02}" if stamped else None) for n in range(70))
    kept: Lines = ()
    for end in (20, 20, 45, *([70] if stamped else [])):
        stream = StreamedLog(kept)
        kept = stream.tell(log[:first])
        for start in range(first, end, 4):
            kept = stream.tell(log[start : min(start + 4, end)])
        assert kept == log[:end][-KEPT_LOG_LINES:]
    assert StreamedLog(kept).tell(log[60:70] if stamped else log[40:45]) == kept


@given(text=st.text(), repeats=st.integers(1, 3000))
def test_a_line_has_at_most_4_kib(text: str, repeats: int) -> None:
    """It is cut between characters, and marked."""
    line = log_line(text * repeats)
    assert len(line.message.encode()) <= MAX_LINE_BYTES
    assert "\0" not in line.message
    if len((text * repeats).encode()) > MAX_LINE_BYTES:
        assert line.message.endswith("…")
        assert (text * repeats).replace("\0", "\ufffd").startswith(line.message[:-1])


def test_a_log_has_at_most_256_kib() -> None:
    """As JSON: characters may take six bytes there."""
    window = tuple(log_line(f"{n:02}" + "\x1b" * MAX_LINE_BYTES) for n in range(60))
    kept = aligned((), window)
    assert len(json.encode(kept)) <= MAX_LOG_BYTES
    assert kept == window[-len(kept) :]
    assert len(kept) >= 10
    assert aligned(kept, window) == kept


def test_notes_that_are_no_notes_are_left_out() -> None:
    """Longer than any timestamp, or with control characters."""
    assert log_line("a", "x" * 65, "INFO\n") == LogLine(message="a")
