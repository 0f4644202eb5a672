"""The sentence of the README that tells the figures."""

import statistics
import textwrap

from bench.results import Results

WIDTH = 130
WORDS = {"fanout": "pushing", "storm": "opening", "idle": "idle streams", "webhooks": "webhooks"}


def sentence(results: Results) -> list[str]:
    """Return the item of the README's list: each figure the median of its runs, with its commit and machine."""
    text = (
        f"- One core of a small server pushes {_median(results, 'fanout', 'deliveries'):,.0f} SSE states a second to "
        f"5,000 browsers ({_ratio(results, 'fanout', 'deliveries', 'centrifuge-sse')} times Centrifugo's library, "
        f"{_ratio(results, 'fanout', 'deliveries', 'nchan-sse')} times nchan), "
        f"opens {_median(results, 'storm', 'opened'):,.0f} streams a second with a token each "
        f"({_ratio(results, 'storm', 'opened', 'centrifuge-sse')} times Centrifugo's library), "
        f"holds an idle stream in {_median(results, 'idle', 'kib'):.1f} KiB, and accepts "
        f"{_median(results, 'webhooks', 'most_per_second'):,.0f} signed webhooks a second, each committed and pushed "
        f"({_ratio(results, 'webhooks', 'most_per_second', 'fastapi')} times FastAPI and SQLAlchemy): "
        f"[measured side by side](docs/benchmarks.md), {_origins(results)}. `make bench` repeats the measurement."
    )
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _median(results: Results, scenario: str, name: str) -> float:
    return statistics.median(results.values(scenario, "hookcast-sse", name))


def _ratio(results: Results, scenario: str, name: str, below: str) -> str:
    return f"{statistics.median(results.ratios(scenario, name, 'hookcast-sse', below)):.1f}"


def _origins(results: Results) -> str:
    """Return the commit and the machine; of each group of figures, if they differ."""
    groups: dict[str, list[str]] = {}
    for scenario, words in WORDS.items():
        origin = results.scenarios[scenario].origin
        machine = origin.machine.partition(",")[0]
        groups.setdefault(f"commit {origin.commit} on one core of {machine}", []).append(words)
    if len(groups) == 1:
        return next(iter(groups))
    return "; ".join(f"{', '.join(words)}: {where}" for where, words in groups.items())
