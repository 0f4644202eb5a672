"""The tables of docs/benchmarks.md: each a function from results to lines of Markdown."""

from collections.abc import Callable, Sequence

from bench.report.cells import Column, Relative, head, row, short, spread, table, title
from bench.results import Results


def _floor(peer: str) -> str:
    """Return the name of the floor with the peer's transport."""
    return "floor-ws" if peer.endswith("-ws") else "floor-sse"


PUSHING = (
    Column("deliveries/s", "fanout", ("deliveries",)),
    Relative("of the floor", "fanout", "deliveries", _floor),
    Column("CPU µs per delivery", "fanout", ("cpu_us",)),
    Column("CPU share server / load", "fanout", ("server_cpu", "load_cpu")),
    Column("fan-out p50 / p99 ms", "fanout", ("p50_ms", "p99_ms")),
    Column("burst: deliveries/s", "burst", ("deliveries",)),
    Relative("of the floor", "burst", "deliveries", _floor),
    Column("CPU µs per delivery", "burst", ("cpu_us",)),
    Column("burst p50 / p99 ms", "burst", ("p50_ms", "p99_ms")),
)
OPENING = (
    Column("opened/s", "storm", ("opened",)),
    Column("CPU µs per stream", "storm", ("cpu_us",)),
    Column("p50 / p99 ms", "storm", ("p50_ms", "p99_ms")),
    Column("without tokens: opened/s", "storm-open", ("opened",)),
    Column("CPU µs per stream", "storm-open", ("cpu_us",)),
    Column("200 webhooks/s meanwhile: p50 / p99 ms", "storm-webhooks", ("webhook_p50_ms", "webhook_p99_ms")),
    Column("p99 ms before the storm", "storm-webhooks", ("quiet_p99_ms",)),
)
HOLDING = (
    Column("KiB per idle stream", "idle", ("kib",)),
    Column("of the kernel / queued there", "idle", ("kernel_kib", "queued_kib")),
    Column("left after leaving %", "idle", ("left_percent",)),
    Column("1,000 states/s p50 / p99 ms", "idle", ("p50_ms", "p99_ms")),
    Column("KiB when all watch one job", "shared", ("kib",)),
    Column("KiB per slow reader", "slow", ("kib",)),
    Column("p99 ms beside slow / without / all read", "slow", ("p99_ms", "without_p99_ms", "reading_p99_ms")),
)
_WEBHOOKS = (  # title, scenario, figures
    ("webhooks/s", "webhooks", ("most_per_second",)),
    ("CPU µs per webhook, server", "webhooks", ("most_us",)),
    ("of PostgreSQL", "webhooks", ("most_database_us",)),
    ("CPU share server", "webhooks", ("most_cpu",)),
    ("p50 / p99 ms at 500/s", "webhooks", ("normal_p50_ms", "normal_p99_ms")),
    ("p50 / p99 ms at 3,000/s", "webhooks", ("high_p50_ms", "high_p99_ms")),
    ("polls/s, 200", "polls", ("200_per_second",)),
    ("polls/s, 304", "polls", ("304_per_second",)),
    ("CPU µs per poll, 200 / 304", "polls", ("200_us", "304_us")),
)
_DATABASES = (("SQLite", ""), ("PostgreSQL", "-pg"))
CROWD = (
    Column("opened/s", "crowd", ("opened",)),
    Column("CPU µs per stream", "crowd", ("cpu_us",)),
    Column("p99 ms", "crowd", ("opening_p99_ms",)),
    Column("KiB per stream", "crowd", ("kib",)),
    Column("of the kernel", "crowd", ("kernel_kib",)),
    Column("CPU µs per silent stream and second", "crowd", ("idle_us",)),
    Column("webhook p50 / p99 ms", "crowd", ("webhook_p50_ms", "webhook_p99_ms")),
)
WORKERS = (
    Column("webhooks/s, one worker", "workers", ("per_second_1",)),
    Column("two workers", "workers", ("per_second_2",)),
    Column("CPU µs per webhook, one", "workers", ("us_1",)),
    Column("two", "workers", ("us_2",)),
    Column("two ÷ one", "workers", ("us_ratio",)),
    Column("with PostgreSQL and Redis", "workers", ("all_ratio",)),
    Column("MiB of the parent", "workers", ("parent_mib",)),
    Column("of an idle worker", "workers", ("worker_mib",)),
    Column("cores in use, two workers", "workers", ("cores_2",)),
)


def pushing(results: Results) -> list[str]:
    """Return the table of fan-out and bursts."""
    return table(results, PUSHING)


def opening(results: Results) -> list[str]:
    """Return the table of opening storms."""
    return table(results, OPENING)


def holding(results: Results) -> list[str]:
    """Return the table of idle streams and slow readers."""
    return table(results, HOLDING)


def webhooks(results: Results) -> list[str]:
    """Return the table of webhooks and polls: a row for each peer and database."""
    lines = []
    for database, ending in _DATABASES:
        for peer in results.peers(f"webhooks{ending}", f"polls{ending}"):
            columns = [Column(words, scenario + ending, names) for words, scenario, names in _WEBHOOKS]
            name = title(peer).removesuffix(", SSE")
            lines.append(row([f"{name}, {database}", *(column.cell(results, peer) for column in columns)]))
    return [*head([words for words, _, _ in _WEBHOOKS]), *lines] if lines else []


def workers(results: Results) -> list[str]:
    """Return the table of one and two workers."""
    return table(results, WORKERS)


def crowd(results: Results) -> list[str]:
    """Return the table of 20,000 streams on one node."""
    return table(results, CROWD)


def ratios(results: Results) -> list[str]:
    """Return Hookcast's ratios to the others, each from within the runs."""
    lines = []
    for above in ("hookcast-sse", "hookcast-ws"):
        transport = above.removeprefix("hookcast")
        others = {peer for _, peer, _ in results.each() if peer != above and peer.endswith(transport)}
        for below in [peer for peer in results.peers(*results.scenarios) if peer in others or peer in _ALSO[above]]:
            found = [f"{words} {spread(values, '{:.2f}'.format)}" for words, values in _compared(results, above, below)]
            lines += [f"- {title(above)} ÷ {title(below)}: {'; '.join(found)}"] if found else []
    return lines


_ALSO = {"hookcast-sse": {"sse-starlette", "fastapi"}, "hookcast-ws": {"starlette-ws"}}
_COMPARED: tuple[tuple[str, str, str], ...] = (
    ("fanout", "deliveries", "deliveries/s"),
    ("fanout", "cpu_us", "CPU per delivery"),
    ("burst", "deliveries", "deliveries/s of a burst"),
    ("storm", "opened", "opened/s"),
    ("storm", "cpu_us", "CPU per opened stream"),
    ("storm-open", "opened", "opened/s without tokens"),
    ("storm-open", "cpu_us", "CPU per opened stream without tokens"),
    ("webhooks", "most_per_second", "webhooks/s with SQLite"),
    ("webhooks-pg", "most_per_second", "webhooks/s with PostgreSQL"),
    ("webhooks", "most_us", "CPU per webhook with SQLite"),
    ("webhooks-pg", "most_us", "CPU per webhook with PostgreSQL"),
)


def _compared(results: Results, above: str, below: str) -> list[tuple[str, Sequence[float]]]:
    found = [(words, results.ratios(scenario, name, above, below)) for scenario, name, words in _COMPARED]
    return [(words, values) for words, values in found if values]


_MORE = (
    ("latency", "p50_ms", "p50 ms from webhook to SSE frame, one webhook after the other"),
    ("latency", "p99_ms", "p99 ms from webhook to SSE frame"),
    ("first", "connects", "connects/s when each reads a known job's first state, 128 at a time"),
    ("idle", "leak_percent", "% more memory left after a second filling than after the first"),
    ("slow", "closed", "slow readers closed"),
)


def notes(results: Results) -> list[str]:
    """Return figures that have no column, and what a reader must know of the others."""
    lines = []
    for scenario, name, words in _MORE:
        for peer in results.peers(scenario):
            values = results.values(scenario, peer, name)
            lines += [f"- {title(peer)}, {words}: {spread(values, short)}"] if values else []
    for scenario, measured in results.scenarios.items():
        lines += [f"- {scenario} {peer}: not measured, {why}" for peer, why in measured.missing.items()]
    for scenario, peer, runs in results.each():
        for name, limit, words in _DOUBTS:
            worst = max(figures.get(name, 0) for figures in runs)
            lines += [f"- {scenario} {peer}: {words.format(worst)}"] if worst > limit else []
    return lines


_DOUBTS = (  # figure, what is fine, what is said
    ("lost", 0, "{:.0f} states did not arrive, or not in order, in the worst run"),
    ("unpublished_percent", 0.5, "{:.0f} % of the states could not be published in their time"),
    ("load_cpu", 0.9, "the load generator used {:.0%} of its core"),
)
TABLES: dict[str, Callable[[Results], list[str]]] = {
    "pushing": pushing,
    "opening": opening,
    "holding": holding,
    "webhooks": webhooks,
    "workers": workers,
    "crowd": crowd,
    "ratios": ratios,
    "notes": notes,
}
