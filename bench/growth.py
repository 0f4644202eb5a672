"""What a deployment needs at a load, from what one job, one stream and one node cost; pure.

`costs` takes the medians of the benchmark: of two nodes that do not look at what was written, of two that do, and of a
crowd of silent streams. `plan` carries them to a load. docs/growth.md shows both.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.results import Results
from hookcast.upkeep.resync import LOOK_BACK_SECONDS

PEER = "hookcast-sse"
PLAIN, LOOKING, CLUSTER, CROWD = "nodes-without-resync", "nodes", "nodes-cluster", "crowd"

USED = 0.5  # share of a core that is planned for: the rest is for peaks, and for the streams of a node that restarts
STREAMS_PER_PROCESS = 19_000  # of 20,000 open files
POOL = 5  # connections of a process to PostgreSQL
BUS_CONNECTIONS = 2  # of a process to each server of Redis
LEAST_LOOK_US = 1.0  # of CPU; a run is too short to measure less
WRITES = 2  # of a job: it is registered, it ends; each progress that is shown is one more
LIFETIME_SECONDS = 0.9 * 3600  # of a stream, on average
PING_SECONDS, PING_BYTES = 15, 8
DATABASE_CORES = 32
DRAIN_SECONDS, START_SECONDS = 10, 5
MOVES = 1.72  # e - 1: how often a stream moves when all nodes restart in turn, some to nodes that restart later


@dataclass(frozen=True, slots=True)
class Cost:
    """What one of something costs: microseconds of CPU by part, and what is written and sent for it."""

    node_us: float
    database_us: float = 0
    redis_us: float = 0
    transactions: float = 0
    rows: float = 0
    wal_bytes: float = 0
    published: float = 0
    subscribed: float = 0
    bytes: float = 0  # that a watcher reads


@dataclass(frozen=True, slots=True)
class Costs:
    """The cost of each thing that happens; `look` is one of a node's looks at one written row."""

    register: Cost
    open: Cost
    end: Cost  # at the node that gets the webhook
    state: Cost  # of the end at the node that has its watcher
    silence: Cost  # of a stream, a second
    look: Cost
    kib: float  # of a silent stream, in the node
    kernel_kib: float
    redis_bytes: float  # of a watched job, in Redis
    publish_us: float  # of Redis, for a message that one server carries
    cluster: float  # times what one server of Redis needs, for the same on a cluster: its servers get smaller batches


@dataclass(frozen=True, slots=True)
class Load:
    """`watchers` have a stream each, `ends` jobs end in a second, each with one watcher whose stream ends with it."""

    watchers: int
    ends: int

    @property
    def opens(self) -> float:
        """Streams opened a second: one for each job, and those that reach the end of their lifetime."""
        return self.ends + self.watchers / LIFETIME_SECONDS


@dataclass(frozen=True, slots=True)
class Plan:
    """What a load needs; None where no number of processes is enough."""

    load: Load
    processes: int | None
    node_cores: float
    look_share: float  # of a core of each process
    database_cores: float
    database_connections: int
    transactions: float
    rows: float
    wal_mb: float
    redis_servers: int
    redis_messages: float
    redis_connections: int
    redis_mib: float
    busiest_redis_share: float  # of a core, for the channel of all jobs
    node_gib: float
    kernel_gib: float
    wire_mb: float


def costs(results: Results) -> Costs:
    """Read the costs from the benchmark's medians. Raises KeyError if a scenario was not measured."""
    plain = _medians(results, PLAIN)
    looking, cluster, crowd = (_medians(results, name) for name in (LOOKING, CLUSTER, CROWD))
    looks = looks_per_row(1)
    looked = {name: looking[f"alone_{name}"] - plain[f"alone_{name}"] for name in ("holding_us", "database_us")}
    return Costs(
        register=_cost(plain, "registering", "taking_us"),
        open=_cost(plain, "opening", "holding_us", bytes=plain["opening_bytes"]),
        end=_cost(plain, "crossing", "taking_us"),
        state=Cost(plain["crossing_holding_us"], bytes=plain["crossing_bytes"]),
        silence=Cost(crowd["idle_us"], bytes=PING_BYTES / PING_SECONDS),
        look=Cost(
            max(looked["holding_us"] / looks, LEAST_LOOK_US),
            max(looked["database_us"] / looks / 2, LEAST_LOOK_US),  # both nodes look
        ),
        kib=crowd["kib"],
        kernel_kib=crowd.get("kernel_kib", 0),
        redis_bytes=plain["opening_memory_bytes"],
        publish_us=max(plain["crossing_redis_us"], 0) / plain["crossing_published"],
        cluster=max(cluster["crossing_redis_us"] / plain["crossing_redis_us"], 1),
    )


def plan(costs: Costs, load: Load, *, resync_seconds: float = 1) -> Plan:
    """Return what the load needs, when each process looks every `resync_seconds` at what was written."""
    looks = load.ends * WRITES * looks_per_row(resync_seconds)  # rows that each process reads a second
    node = _sum(costs, load, lambda cost: cost.node_us)
    look_share = looks * costs.look.node_us / 1e6
    processes = _processes(load, node / 1e6, look_share)
    count = processes or 0
    database = _sum(costs, load, lambda cost: cost.database_us) + count * looks * costs.look.database_us
    redis = _sum(costs, load, lambda cost: cost.redis_us) / 1e6
    servers = 1 if redis < USED else math.ceil(redis * costs.cluster / USED)
    return Plan(
        load=load,
        processes=processes,
        node_cores=node / 1e6 + count * look_share,
        look_share=look_share,
        database_cores=database / 1e6 / USED,
        database_connections=count * POOL,
        transactions=_sum(costs, load, lambda cost: cost.transactions),
        rows=_sum(costs, load, lambda cost: cost.rows),
        wal_mb=_sum(costs, load, lambda cost: cost.wal_bytes) / 1e6,
        redis_servers=servers,
        redis_messages=_sum(costs, load, lambda cost: cost.published + cost.subscribed),
        redis_connections=count * servers * BUS_CONNECTIONS,
        redis_mib=load.watchers * costs.redis_bytes / 2**20,
        busiest_redis_share=load.ends * WRITES * costs.publish_us / 1e6,
        node_gib=load.watchers * costs.kib / 2**20,
        kernel_gib=load.watchers * costs.kernel_kib / 2**20,
        wire_mb=_sum(costs, load, lambda cost: cost.bytes) / 1e6,
    )


def looks_per_row(resync_seconds: float) -> float:
    """Return how often a process reads a written row: each look goes back `LOOK_BACK_SECONDS` before the one before."""
    return (LOOK_BACK_SECONDS + resync_seconds) / resync_seconds


@dataclass(frozen=True, slots=True)
class Limit:
    """Something that is used up at so many ends a second, however many nodes there are."""

    what: str
    ends: float


def limits(costs: Costs, watchers_per_end: float, *, resync_seconds: float = 1) -> list[Limit]:
    """Return what breaks, the first one first."""

    def at(ends: float) -> Plan:
        return plan(costs, Load(int(ends * watchers_per_end), int(ends)), resync_seconds=resync_seconds)

    found = [
        Limit(
            "each process's look at what was written takes all the CPU that is planned for it",
            _largest(lambda ends: at(ends).look_share < USED),
        ),
        Limit(
            "the server of Redis with the channel of all jobs is busy for half of its core",
            _largest(lambda ends: at(ends).busiest_redis_share < USED),
        ),
        Limit(
            f"PostgreSQL needs {DATABASE_CORES} cores, half of them free",
            _largest(lambda ends: at(ends).processes is not None and at(ends).database_cores < DATABASE_CORES),
        ),
        Limit("PostgreSQL writes 200 MB of WAL a second", _largest(lambda ends: at(ends).wal_mb < 200)),
        Limit(
            "PostgreSQL has 500 connections, without a pooler",
            _largest(lambda ends: at(ends).processes is not None and at(ends).database_connections < 500),
        ),
    ]
    return sorted(found, key=lambda limit: limit.ends)


@dataclass(frozen=True, slots=True)
class Restart:
    """What happens when processes end and start: one, all in turn, all at once."""

    streams: float  # of one process
    share: float  # of a core that each other process needs for them while they come back
    database_share: float  # of a core
    moves: float  # streams opened until all have restarted in turn
    minutes: float  # of that
    at_once_seconds: float  # until all streams are open again after all processes have ended, with all CPU
    at_once_database_cores: float


def restart(costs: Costs, planned: Plan) -> Restart:
    """Return what a rolling restart does, a process at a time, and what a restart of everything does."""
    count = planned.processes or 1
    streams = planned.load.watchers / count
    opened = streams / DRAIN_SECONDS
    seconds = planned.load.watchers * costs.open.node_us / 1e6 / count
    return Restart(
        streams=streams,
        share=opened * costs.open.node_us / 1e6 / max(count - 1, 1),
        database_share=opened * costs.open.database_us / 1e6,
        moves=planned.load.watchers * MOVES,
        minutes=count * (DRAIN_SECONDS + START_SECONDS) / 60,
        at_once_seconds=seconds,
        at_once_database_cores=planned.load.watchers * costs.open.database_us / 1e6 / seconds if seconds else 0,
    )


@dataclass(frozen=True, slots=True)
class Check:
    """A figure of a run beside what the costs say of it."""

    run: str
    what: str
    foretold: float
    measured: float


def checks(results: Results, costs: Costs) -> list[Check]:
    """Compare runs of two nodes that look at what was written with the costs: the CPU of a webhook, all told."""
    found = []
    for run in (LOOKING, CLUSTER):
        medians, looks = _medians(results, run), looks_per_row(1)
        foretold = {
            "node": costs.end.node_us + costs.state.node_us + 2 * looks * costs.look.node_us,
            "PostgreSQL": costs.end.database_us + 2 * looks * costs.look.database_us,
            "Redis": costs.end.redis_us,
        }
        measured = {
            "node": medians["crossing_taking_us"] + medians["crossing_holding_us"],
            "PostgreSQL": medians["crossing_database_us"],
            "Redis": medians["crossing_redis_us"],
        }
        found += [Check(run, what, foretold[what], measured[what]) for what in foretold]
    return found


def _cost(medians: dict[str, float], name: str, node: str, **more: float) -> Cost:
    shared = ("database_us", "redis_us", "transactions", "rows", "wal_bytes", "published", "subscribed")
    return Cost(medians[f"{name}_{node}"], *(max(medians[f"{name}_{part}"], 0) for part in shared), **more)


def _medians(results: Results, scenario: str) -> dict[str, float]:
    runs: Sequence[dict[str, float]] = list(results.runs(scenario, PEER).values())
    if not runs:
        raise KeyError(f"{scenario} was not measured")
    return {name: statistics.median(results.values(scenario, PEER, name)) for name in runs[0]}


def _sum(costs: Costs, load: Load, of: Callable[[Cost], float]) -> float:
    """Return how much of something the load takes in a second, without the looks at what was written."""
    job = of(costs.register) + of(costs.end) + of(costs.state)
    return load.ends * job + load.opens * of(costs.open) + load.watchers * of(costs.silence)


def _processes(load: Load, cores: float, look_share: float) -> int | None:
    """Return how many processes have enough CPU beside their looks, and enough open files."""
    if look_share >= USED:
        return None
    return max(1, math.ceil(cores / (USED - look_share)), math.ceil(load.watchers / STREAMS_PER_PROCESS))


def _largest(holds: Callable[[float], bool]) -> float:
    """Return the number of ends a second, to three digits, up to which it holds; infinity beyond 10 million."""
    low, high = 0.0, 1e7
    if holds(high):
        return float("inf")
    while high - low > max(low, 1) / 1000:
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
