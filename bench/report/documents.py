"""The documents that show figures: each has places between markers, which are written from `bench/results.json`."""

from collections.abc import Callable, Sequence
from pathlib import Path

from bench.catalog import ROOT
from bench.growth import CLUSTER, CROWD, LOOKING, PLAIN
from bench.report.growth import GROWTH
from bench.report.readme import sentence
from bench.report.tables import TABLES
from bench.results import Results, load

BEGIN, END = "<!-- bench:{} -->", "<!-- bench:end -->"
Places = dict[str, Callable[[Results], list[str]]]


def origins(results: Results) -> list[str]:
    """Return a paragraph for each date, commit and machine, with the scenarios measured there."""
    return _origins(results, list(results.scenarios))


def origins_of_growth(results: Results) -> list[str]:
    """Return the same for the scenarios that growth is computed from."""
    return _origins(results, [PLAIN, LOOKING, CLUSTER, CROWD])


def _origins(results: Results, scenarios: Sequence[str]) -> list[str]:
    found = {name: results.scenarios[name].origin for name in scenarios}
    lines: list[str] = []
    for origin in dict.fromkeys(found.values()):
        names = [f"`{name}`" for name in found if found[name] == origin]
        runs = f"{origin.runs} run{'s' if origin.runs > 1 else ''}"
        lines += [
            f"Measured on {origin.date}, {origin.form} form, {runs}, commit {origin.commit}: {', '.join(names)}.",
            f"{origin.machine}. {origin.versions}.",
            "",
        ]
    return lines[:-1]


DOCUMENTS: dict[str, Places] = {
    "README.md": {"readme": sentence},
    "docs/benchmarks.md": {"origins": origins, **TABLES},
    "docs/growth.md": {"origins": origins_of_growth, **GROWTH},
}


def page(results: Results) -> list[str]:
    """Return everything that docs/benchmarks.md shows of the results, without its prose."""
    found: list[str] = []
    for place in DOCUMENTS["docs/benchmarks.md"].values():
        if lines := place(results):
            found += [*lines, ""]
    return found


def rendered(document: str, results: Results) -> str:
    """Return a document's text with the results in its places. Raises ValueError if it lacks one."""
    text = (ROOT / document).read_text()
    for name, place in DOCUMENTS[document].items():
        before, begin, rest = text.partition(BEGIN.format(name))
        _, end, after = rest.partition(END)
        if not begin or not end:
            raise ValueError(f"{document} has no place {begin or BEGIN.format(name)}")
        text = "\n".join([before + begin, *place(results), end + after])
    return text


def write() -> None:
    """Write the kept results into the documents."""
    results = load()
    for document in DOCUMENTS:
        Path(ROOT / document).write_text(rendered(document, results))
