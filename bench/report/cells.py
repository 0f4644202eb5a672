"""Cells and rows of the Markdown tables."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.catalog import titles
from bench.results import Results

NONE = "-"


@dataclass(frozen=True, slots=True)
class Column:
    """Figures of one scenario. One is shown with its extremes, several side by side as medians."""

    title: str
    scenario: str
    names: tuple[str, ...]

    def cell(self, results: Results, peer: str) -> str:
        """Return the text for a peer."""
        found = [results.values(self.scenario, peer, name) for name in self.names]
        if not all(found):
            return NONE
        return spread(found[0]) if len(found) == 1 else " / ".join(short(statistics.median(values)) for values in found)


@dataclass(frozen=True, slots=True)
class Relative:
    """A figure relative to another peer's in the same run; `below` names that peer, or none."""

    title: str
    scenario: str
    name: str
    below: Callable[[str], str | None]

    def cell(self, results: Results, peer: str) -> str:
        """Return the text for a peer."""
        below = self.below(peer)
        found = results.ratios(self.scenario, self.name, peer, below) if below else []
        return spread(found, "{:.2f}".format)


def table(results: Results, columns: Sequence[Column | Relative]) -> list[str]:
    """Return the lines of a table with a row for each peer that has a figure in it; none if no peer has."""
    peers = results.peers(*(column.scenario for column in columns))
    if not peers:
        return []
    lines = head([column.title for column in columns])
    return [*lines, *(row([title(peer), *(column.cell(results, peer) for column in columns)]) for peer in peers)]


def title(peer: str) -> str:
    """Return a peer's name in the tables."""
    name, _, transport = peer.rpartition("-")
    words = {"sse": "SSE", "ws": "WebSocket"}
    return titles().get(peer) or f"{name.replace('hookcast@', 'Hookcast ')}, {words.get(transport, transport)}"


def head(titles: Sequence[str]) -> list[str]:
    """Return a table's first two lines; the first column has no title."""
    return [row(["", *titles]), row(["---", *("---:" for _ in titles)])]


def row(cells: Sequence[str]) -> str:
    """Return one line of a table."""
    return f"| {' | '.join(cells)} |"


def spread(values: Sequence[float], form: "Callable[[float], str] | None" = None) -> str:
    """Format the median, with minimum and maximum when there is more than one value."""
    if not values:
        return NONE
    form = form or short
    middle = form(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({form(min(values))} to {form(max(values))})"


def short(value: float) -> str:
    """Format three digits: 97.8k, 128, 8.23, 0.12."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:.2f}M"
    if abs(value) >= 1e4:
        return f"{value / 1000:.0f}k" if abs(value) >= 1e5 else f"{value / 1000:.1f}k"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
