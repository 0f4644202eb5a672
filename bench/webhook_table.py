"""The second table: signed webhooks and polls, one row per peer and database; and the scaling to two workers."""

from collections.abc import Sequence

from bench.catalog import Peer
from bench.services import POSTGRESQL, SQLITE
from bench.table import NONE, Results, head, row, short, spread

_KINDS = ((SQLITE, ""), (POSTGRESQL, "-pg"))
_COLUMNS = (  # title, scenario, figures
    ("webhooks/s", "webhooks", ("most_per_second",)),
    ("CPU µs per webhook, server", "webhooks", ("most_us",)),
    ("of PostgreSQL", "webhooks", ("most_database_us",)),
    ("CPU share server", "webhooks", ("most_cpu",)),
    ("p50 ms at 500/s", "webhooks", ("normal_p50_ms",)),
    ("p99 ms at 500/s", "webhooks", ("normal_p99_ms",)),
    ("p50 ms at 3,000/s", "webhooks", ("high_p50_ms",)),
    ("p99 ms at 3,000/s", "webhooks", ("high_p99_ms",)),
    ("polls/s, 200", "polls", ("200_per_second",)),
    ("polls/s, 304", "polls", ("304_per_second",)),
    ("CPU µs per poll, 200 / 304", "polls", ("200_us", "304_us")),
)
_WORKERS = (
    ("speedup", "two workers ÷ one, webhooks/s, PostgreSQL and Redis"),
    ("per_second_1", "webhooks/s, one worker"),
    ("per_second_2", "webhooks/s, two workers"),
    ("us_1", "CPU µs per webhook of the server, one worker"),
    ("us_2", "CPU µs per webhook of the server, two workers"),
    ("database_us_1", "CPU µs per webhook of PostgreSQL, one worker"),
    ("database_us_2", "CPU µs per webhook of PostgreSQL, two workers"),
    ("busiest_percent_2", "% of the two workers' CPU time used by the busier one"),
    ("cores_2", "cores in use by everything, two workers"),
)


def webhook_table(results: Results, peers: Sequence[Peer]) -> list[str]:
    """Return the table; empty when none of it was measured."""
    rows = []
    for peer in peers:
        for kind, ending in _KINDS:
            cells = [_cell(results, peer, scenario + ending, names) for _, scenario, names in _COLUMNS]
            if set(cells) != {NONE}:
                rows.append(row([f"{peer.title}, {kind}", *cells]))
    lines = [*head([title for title, _, _ in _COLUMNS]), *rows, ""] if rows else []
    for name, words in _WORKERS:
        if found := results.values("workers", "hookcast-sse", name):
            lines.append(f"- {words}: {spread(found, short)}")
    return lines


def _cell(results: Results, peer: Peer, scenario: str, names: Sequence[str]) -> str:
    found = [results.values(scenario, peer.name, name) for name in names]
    return " / ".join(spread(values, short) for values in found) if all(found) else NONE
