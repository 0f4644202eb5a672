"""Formats the figures of all runs as a Markdown table."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from bench.catalog import Peer
from bench.load import Figures

NONE = "-"


@dataclass(slots=True)
class Results:
    """The figures of every run, by scenario and peer, and the reasons for missing ones."""

    figures: dict[tuple[str, str], dict[int, Figures]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    latency: list[tuple[float, float]] = field(default_factory=list)

    def add(self, scenario: str, peer: Peer, run: int, figures: Figures) -> None:
        """Store the figures of one run."""
        self.figures.setdefault((scenario, peer.name), {})[run] = figures

    def values(self, scenario: str, peer: str, name: str) -> list[float]:
        """Return one figure of all runs that have it."""
        return [figures[name] for figures in self.figures.get((scenario, peer), {}).values() if name in figures]

    def ratios(self, scenario: str, name: str, above: str, below: str) -> list[float]:
        """Return one peer's figure divided by another's, run by run."""
        upper, lower = self.figures.get((scenario, above), {}), self.figures.get((scenario, below), {})
        return [upper[run][name] / lower[run][name] for run in upper if run in lower and lower[run][name]]


def main_table(results: Results, peers: Sequence[Peer]) -> list[str]:
    """Return the main table: one row per peer."""
    columns = [*_COLUMNS]
    measured = [peer for peer in peers if any((column.scenario, peer.name) in results.figures for column in columns)]
    lines = head([column.title for column in columns]) if measured or results.latency else []
    lines += [row([peer.title, *(column.cell(results, peer) for column in columns)]) for peer in measured]
    if results.latency:
        cells = [_pair(zip(*results.latency, strict=True)) if column.title == _PACED else NONE for column in columns]
        lines.append(row(["Hookcast, webhook sent → SSE frame read", *cells]))
    return lines


def ratio_lines(results: Results) -> list[str]:
    """Return the ratios of Hookcast to the others, from the same runs."""
    lines = []
    for which, name in enumerate(("p50", "p99") if results.latency else ()):
        lines.append(
            f"- webhook sent → SSE frame read, {name}: {spread([run[which] for run in results.latency], short)} ms"
        )
    for above, below in _RATIOS:
        if found := results.ratios("fanout", "deliveries", above, below):
            speed = spread(found, "{:.2f}".format)
            work = spread(results.ratios("fanout", "cpu_us", below, above), "{:.2f}".format)
            lines.append(f"- {above} ÷ {below}: {speed} in deliveries/s, {work} in deliveries per CPU second")
    for name in ("hookcast-sse", "hookcast-ws"):
        for scenario, figure, words in _MORE:
            if found := results.values(scenario, name, figure):
                lines.append(f"- {name}, {words}: {spread(found, short)}")
    return lines


def warnings(results: Results) -> list[str]:
    """Return caveats for readers of the table: gaps, lost states, a saturated load generator."""
    lines = [f"- {where}: not measured, {why}" for where, why in results.missing.items()]
    for (scenario, peer), runs in results.figures.items():
        lost = sum(figures.get("lost", 0) for figures in runs.values())
        if lost:
            lines.append(f"- {scenario} {peer}: {lost:.0f} states did not arrive, or not in order")
        missed = max(figures.get("unpublished_percent", 0) for figures in runs.values())
        if missed:
            lines.append(f"- {scenario} {peer}: {missed:.0f} % of the states could not be published in their time")
        busiest = max(figures.get("load_cpu", 0) for figures in runs.values())
        if busiest > 0.9:
            lines.append(f"- {scenario} {peer}: the load generator used {busiest:.0%} of its core")
    return lines


def spread(values: Sequence[float], form: Callable[[float], str]) -> str:
    """Format the median, with minimum and maximum when there is more than one value."""
    if not values:
        return NONE
    middle = form(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({form(min(values))} to {form(max(values))})"


def short(value: float) -> str:
    """Format three digits: 97.8k, 128, 8.23, 0.12."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:.2f}M"
    if abs(value) >= 1e4:
        return f"{value / 1000:.0f}k" if abs(value) >= 1e5 else f"{value / 1000:.1f}k"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def head(titles: Sequence[str]) -> list[str]:
    """Return a table's first two lines; the first column has no title."""
    return [row(["", *titles]), row(["---", *("---:" for _ in titles)])]


def row(cells: Sequence[str]) -> str:
    """Return one line of a table."""
    return f"| {' | '.join(cells)} |"


@dataclass(frozen=True, slots=True)
class _Column:
    """Figures of one scenario; several are shown side by side, as medians."""

    title: str
    scenario: str
    names: tuple[str, ...]

    def cell(self, results: Results, peer: Peer) -> str:
        found = [results.values(self.scenario, peer.name, name) for name in self.names]
        if not found[0]:
            return NONE
        if len(found) == 1:
            return spread(found[0], short)
        return _pair(found)


class _OfFloor(_Column):
    """Deliveries a second relative to the floor's in the same run."""

    def cell(self, results: Results, peer: Peer) -> str:
        floor = "floor-ws" if peer.websocket else "floor-sse"
        return spread(results.ratios("fanout", "deliveries", peer.name, floor), "{:.2f}".format)


_PACED = "1,000 states/s p50 / p99 ms"
_COLUMNS = (
    _Column("connects/s", "fanout", ("connects",)),
    _Column("deliveries/s", "fanout", ("deliveries",)),
    _OfFloor("of the floor", "fanout", ()),
    _Column("CPU µs per delivery", "fanout", ("cpu_us",)),
    _Column("CPU share server / load", "fanout", ("server_cpu", "load_cpu")),
    _Column("fan-out p50 / p99 ms", "fanout", ("p50_ms", "p99_ms")),
    _Column("KiB per idle stream", "idle", ("kib",)),
    _Column("left after leaving %", "idle", ("left_percent",)),
    _Column(_PACED, "idle", ("p50_ms", "p99_ms")),
    _Column("KiB per slow reader", "slow", ("kib",)),
    _Column("p99 ms beside slow / without / all read", "slow", ("p99_ms", "without_p99_ms", "reading_p99_ms")),
)
_RATIOS = (
    ("hookcast-sse", "floor-sse"),
    ("hookcast-ws", "floor-ws"),
    ("hookcast-sse", "nchan-sse"),
    ("hookcast-ws", "nchan-ws"),
    ("hookcast-sse", "sse-starlette"),
    ("hookcast-ws", "starlette-ws"),
)
_MORE = (
    ("first", "connects", "connects/s when each reads a known job's first state"),
    ("shared", "kib", "KiB per idle stream when all watch one job"),
    ("shared", "left_percent", "% of that left after leaving"),
    ("idle", "leak_percent", "% more left after a second filling than after the first"),
    ("slow", "closed", "slow readers closed"),
)


def _pair(figures: Iterable[Sequence[float]]) -> str:
    return " / ".join(short(statistics.median(values)) for values in figures)
