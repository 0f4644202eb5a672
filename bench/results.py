"""The figures of every run, by scenario and peer, with where they come from; and the file that keeps them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.catalog import HERE, titles
from bench.load import Figures

KEPT = HERE / "results.json"  # the documents show what is in it
DIGITS = 5


@dataclass(frozen=True, slots=True)
class Origin:
    """When, where and of what a scenario was measured; `form` is full or quick."""

    date: str
    commit: str
    machine: str
    versions: str
    form: str
    runs: int


@dataclass(slots=True)
class Measured:
    """One scenario: the figures of each run (0, 1, …) by peer, and why a peer has none."""

    origin: Origin
    figures: dict[str, dict[int, Figures]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Results:
    """What was measured, by scenario; `origin` is of what is added."""

    scenarios: dict[str, Measured] = field(default_factory=dict)
    origin: Origin | None = None

    def add(self, scenario: str, peer: str, run: int, figures: Figures) -> None:
        """Keep the figures of one run."""
        self._measured(scenario).figures.setdefault(peer, {})[run] = figures

    def miss(self, scenario: str, peer: str, why: str) -> None:
        """Keep the reason why a peer could not be measured."""
        self._measured(scenario).missing[peer] = why

    def _measured(self, scenario: str) -> Measured:
        assert self.origin is not None
        return self.scenarios.setdefault(scenario, Measured(self.origin))

    def peers(self, *scenarios: str) -> list[str]:
        """Return the names of the peers with figures of one of these scenarios, in the order of the catalog."""
        found = {peer for name in scenarios if name in self.scenarios for peer in self.scenarios[name].figures}
        known = list(titles())
        return sorted(found, key=lambda peer: (known.index(peer) if peer in known else len(known), peer))

    def runs(self, scenario: str, peer: str) -> Mapping[int, Figures]:
        """Return the figures of each run; none if it was not measured."""
        measured = self.scenarios.get(scenario)
        return measured.figures.get(peer, {}) if measured else {}

    def values(self, scenario: str, peer: str, name: str) -> list[float]:
        """Return one figure of all runs that have it."""
        return [figures[name] for figures in self.runs(scenario, peer).values() if name in figures]

    def ratios(self, scenario: str, name: str, above: str, below: str) -> list[float]:
        """Return one peer's figure divided by another's, run by run."""
        upper, lower = self.runs(scenario, above), self.runs(scenario, below)
        return [upper[run][name] / lower[run][name] for run in upper if run in lower and lower[run].get(name)]

    def each(self) -> Iterator[tuple[str, str, list[Figures]]]:
        """Yield scenario, peer, and the figures of its runs."""
        for scenario, measured in self.scenarios.items():
            for peer, runs in measured.figures.items():
                yield scenario, peer, list(runs.values())

    def save(self, path: Path) -> None:
        """Write the file, rounded; scenarios that were not measured now stay as they are in it."""
        found = json.loads(path.read_text()) if path.exists() else {}
        found |= {name: asdict(measured) for name, measured in self.scenarios.items()}
        path.write_text(json.dumps(_rounded(found), indent=1) + "\n")


def load(path: Path = KEPT) -> Results:
    """Read what `save` has written."""
    results = Results()
    for scenario, kept in json.loads(path.read_text()).items():
        measured = results.scenarios[scenario] = Measured(Origin(**kept["origin"]), missing=kept["missing"])
        for peer, runs in kept["figures"].items():
            measured.figures[peer] = {int(run): figures for run, figures in runs.items()}
    return results


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, float):
        short = float(f"{value:.{DIGITS}g}")
        return int(short) if short.is_integer() else short
    return value
