"""The comparison of instruction counts with another commit's, which fails a pull request that slows the server."""

import pytest
from bench.instructions import grown_beyond, least, lines

BASE = {"opening, SSE": 1000.0, "push, SSE": 200.0, "webhook, SSE": 5000.0}


def test_what_stays_within_the_limit_has_not_grown() -> None:
    """Five percent more is still allowed, and fewer always is."""
    assert grown_beyond({"opening, SSE": 1050.0, "push, SSE": 100.0, "webhook, SSE": 5000.0}, BASE, 5) == []


def test_each_figure_beyond_the_limit_is_named() -> None:
    """One that is far better does not make up for another."""
    head = {"opening, SSE": 1051.0, "push, SSE": 10.0, "webhook, SSE": 9000.0}
    assert grown_beyond(head, BASE, 5) == ["opening, SSE", "webhook, SSE"]


def test_a_figure_that_the_other_commit_lacks_has_not_grown() -> None:
    """As when a new one is counted for the first time."""
    assert grown_beyond({"opening, WebSocket": 9000.0}, BASE, 5) == []


@pytest.mark.parametrize(("limit", "grown"), [(4.9, ["push, SSE"]), (5.1, [])])
def test_the_limit_is_a_percentage(limit: float, grown: list[str]) -> None:
    """Of the other commit's count."""
    assert grown_beyond({"push, SSE": 210.0}, BASE, limit) == grown


def test_each_line_shows_the_change() -> None:
    """So that a failed check says by how much."""
    (line,) = lines({"push, SSE": 210.0}, BASE)
    assert line.split() == ["push,", "SSE", "210", "200", "before", "+5.0", "%"]


def test_a_line_without_another_commit_shows_the_count_alone() -> None:
    """As when the command is run without --against."""
    assert [line.split() for line in lines({"push, SSE": 1210.0}, {})] == [["push,", "SSE", "1,210"]]


def test_the_least_of_several_counts_is_taken() -> None:
    """For each figure by itself: what a busy machine adds is never less than nothing."""
    runs = [{"push, SSE": 210.0, "webhook": 50.0}, {"push, SSE": 190.0, "webhook": 70.0}, {"push, SSE": 200.0}]
    assert least(runs) == {"push, SSE": 190.0, "webhook": 50.0}
