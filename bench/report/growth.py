"""The tables of docs/growth.md."""

from collections.abc import Sequence

from bench.growth import Cost, Limit, Load, Plan, checks, costs, limits, plan, restart
from bench.report.cells import head, row, short
from bench.results import Results

LOADS = (Load(10_000, 100), Load(100_000, 1_000), Load(1_000_000, 10_000))
RESYNC_SECONDS = (1, 5, 30)
TARGET = LOADS[-1]
MEASURED = {"nodes": "two nodes, one Redis", "nodes-cluster": "two nodes, Redis Cluster of three masters"}


def cost_table(results: Results) -> list[str]:
    """Return what each thing costs, by part."""
    found = costs(results)
    rows: tuple[tuple[str, Cost], ...] = (
        ("a job is registered", found.register),
        ("a stream opens: token, first state", found.open),
        ("a webhook ends a job: verified, committed, published", found.end),
        ("its state reaches a watcher at another node", found.state),
        ("a stream is silent for a second", found.silence),
        ("a node looks at one written row", found.look),
    )
    titles = (
        "CPU µs, node|PostgreSQL|Redis|transactions|rows|bytes of WAL|messages published|subscriptions|"
        "bytes to the watcher"
    )
    lines = head(titles.split("|"))
    for words, cost in rows:
        figures = (cost.node_us, cost.database_us, cost.redis_us, cost.transactions, cost.rows, cost.wal_bytes)
        lines.append(row([words, *map(_short, (*figures, cost.published, cost.subscribed, cost.bytes))]))
    memory = (
        f"A silent stream holds {found.kib:.1f} KiB in its node, {found.kernel_kib:.1f} KiB in the node's kernel, and "
        f"{found.redis_bytes:.0f} bytes in Redis."
    )
    return [*lines, "", memory]


def plan_table(results: Results) -> list[str]:
    """Return what three loads need."""
    plans = [plan(costs(results), load) for load in LOADS]
    rows = [(words, [shown(planned) for planned in plans]) for words, shown in _PLANNED]
    return [*head([_load(load) for load in LOADS]), *(row([words, *cells]) for words, cells in rows)]


def resync_table(results: Results) -> list[str]:
    """Return what the largest load needs when the processes look less often at what was written."""
    plans = [plan(costs(results), TARGET, resync_seconds=seconds) for seconds in RESYNC_SECONDS]
    rows = [(words, [shown(planned) for planned in plans]) for words, shown in _PLANNED]
    titles = [f"every {seconds} s" for seconds in RESYNC_SECONDS]
    return [*head(titles), *(row([words, *cells]) for words, cells in rows)]


def limit_table(results: Results) -> list[str]:
    """Return what breaks first, and when, for each interval of looks."""
    per_end = TARGET.watchers / TARGET.ends
    found = [limits(costs(results), per_end, resync_seconds=seconds) for seconds in RESYNC_SECONDS]
    lines = head([f"looks every {seconds} s" for seconds in RESYNC_SECONDS])
    return [*lines, *(row([limit.what, *(_ends(limit.what, column) for column in found)]) for limit in found[0])]


def restart_table(results: Results) -> list[str]:
    """Return what restarts do at the largest load, with looks rare enough that it can be served."""
    planned = plan(costs(results), TARGET, resync_seconds=RESYNC_SECONDS[-1])
    found = restart(costs(results), planned)
    lines = head(["", ""])[1:]
    return [
        row(["", f"{_load(TARGET)}, looks every {RESYNC_SECONDS[-1]} s"]),
        lines[0].rpartition(" | ---:")[0] + " |",
        row(["streams of a process", _short(found.streams)]),
        row(["share of a core that each other process needs for them, for 10 s", f"{found.share:.1%}"]),
        row(["share of a core of PostgreSQL, for 10 s", f"{found.database_share:.0%}"]),
        row(["streams opened until all processes have restarted in turn", _short(found.moves)]),
        row(["minutes that takes, one process at a time", _short(found.minutes)]),
        row(["all processes at once: seconds until all streams are open, with all CPU", _short(found.at_once_seconds)]),
        row(["cores of PostgreSQL busy meanwhile", _short(found.at_once_database_cores)]),
    ]


def check_table(results: Results) -> list[str]:
    """Return the measured runs beside what the costs say of them."""
    lines = head(["foretold, CPU µs per job that ends", "measured", "measured ÷ foretold"])
    for check in checks(results, costs(results)):
        ratio = f"{check.measured / check.foretold:.2f}" if check.foretold else "-"
        lines.append(row([f"{MEASURED[check.run]}: {check.what}", short(check.foretold), short(check.measured), ratio]))
    return lines


def _ends(what: str, column: Sequence[Limit]) -> str:
    return next(_short(limit.ends) for limit in column if limit.what == what)


def _load(load: Load) -> str:
    return f"{load.watchers:,} watchers, {load.ends:,} ends/s"


def _short(value: float) -> str:
    if value == float("inf"):
        return "beyond 10M"
    return "0" if value == 0 else short(value)


def _processes(planned: Plan) -> str:
    return f"{planned.processes:,}" if planned.processes else "no number is enough"


def _whole(planned: Plan, value: float) -> str:
    """Return a figure that grows with the number of processes; none if no number is enough."""
    return _short(value) if planned.processes else "-"


_PLANNED = (
    ("processes of one core each", _processes),
    ("jobs that end in each, a second", lambda planned: _whole(planned, planned.load.ends / (planned.processes or 1))),
    ("cores busy in them", lambda planned: _whole(planned, planned.node_cores)),
    ("share of each for looks at what was written", lambda planned: f"{planned.look_share:.1%}"),
    ("GiB of the processes for streams", lambda planned: _short(planned.node_gib)),
    ("GiB of their kernels", lambda planned: _short(planned.kernel_gib)),
    ("cores of PostgreSQL, half of them free", lambda planned: _whole(planned, planned.database_cores)),
    ("connections to PostgreSQL", lambda planned: _whole(planned, planned.database_connections)),
    ("transactions/s", lambda planned: _short(planned.transactions)),
    ("rows written/s", lambda planned: _short(planned.rows)),
    ("MB of WAL/s", lambda planned: _short(planned.wal_mb)),
    ("servers of Redis, half of each core free", lambda planned: f"{planned.redis_servers}"),
    ("messages to Redis/s", lambda planned: _short(planned.redis_messages)),
    ("connections to Redis", lambda planned: _whole(planned, planned.redis_connections)),
    ("MiB in Redis", lambda planned: _short(planned.redis_mib)),
    (
        "share of a core of the server with the channel of all jobs",
        lambda planned: f"{planned.busiest_redis_share:.0%}",
    ),
    ("MB/s to watchers", lambda planned: _short(planned.wire_mb)),
)
GROWTH = {
    "costs": cost_table,
    "plans": plan_table,
    "looks": resync_table,
    "limits": limit_table,
    "restarts": restart_table,
    "checks": check_table,
}
