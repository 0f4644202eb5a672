"""The sentence of the README that tells the figures."""

import statistics
import textwrap

from bench.results import Results

WIDTH = 130
PEER = "hookcast-sse"
OTHERS = {
    "centrifuge-sse": "Centrifugo's library",
    "nchan-sse": "nchan",
    "sse-starlette": "sse-starlette",
    "fastapi": "FastAPI and SQLAlchemy",
}
CLAUSES = (  # scenario, figure, what is said of it, what it is called, and the peers it is compared with
    ("fanout", "deliveries", "pushes {:,.0f} SSE states a second to 5,000 browsers", "pushing", 3),
    ("storm", "opened", "opens {:,.0f} streams a second with a token each", "opening", 1),
    ("idle", "kib", "holds an idle stream in {:.1f} KiB", "idle streams", 0),
    (
        "webhooks",
        "most_per_second",
        "accepts {:,.0f} signed webhooks a second, each committed and pushed",
        "webhooks",
        4,
    ),
)


def sentence(results: Results) -> list[str]:
    """Return the item of the README's list: what was measured, each figure the median of its runs."""
    clauses = []
    for scenario, name, words, _, others in CLAUSES:
        if values := results.values(scenario, PEER, name):
            compared = _compared(results, scenario, name, others)
            clauses.append(words.format(statistics.median(values)) + (f" ({compared})" if compared else ""))
    text = (
        f"- One core of a small server {', '.join(clauses[:-1])}, and {clauses[-1]}: "
        f"[measured side by side](docs/benchmarks.md), {_origins(results)}. `make bench` repeats the measurement."
    )
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _compared(results: Results, scenario: str, name: str, others: int) -> str:
    """Return how many times the others' figure it is, of the first so many others that were measured."""
    ratios = {words: results.ratios(scenario, name, PEER, peer) for peer, words in list(OTHERS.items())[:others]}
    return ", ".join(f"{statistics.median(found):.1f} times {words}" for words, found in ratios.items() if found)


def _origins(results: Results) -> str:
    """Return the commit and the machine; of each group of figures, if they differ."""
    groups: dict[str, list[str]] = {}
    for scenario, _, _, words, _ in CLAUSES:
        if scenario in results.scenarios:
            origin = results.scenarios[scenario].origin
            where = f"commit {origin.commit} on one core of {origin.machine.partition(',')[0]}"
            groups.setdefault(where, []).append(words)
    if len(groups) == 1:
        return next(iter(groups))
    return "; ".join(f"{', '.join(words)}: {where}" for where, words in groups.items())
