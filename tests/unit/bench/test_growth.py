"""What a deployment needs at a load, computed from what its parts cost."""

import pytest
from bench.growth import (
    LEAST_LOOK_US,
    POOL,
    STREAMS_PER_PROCESS,
    USED,
    Cost,
    Costs,
    Load,
    costs,
    limits,
    looks_per_row,
    plan,
    restart,
)
from bench.results import load

from hookcast.store import postgresql

COSTS = Costs(
    register=Cost(300, database_us=50, redis_us=10, transactions=0.1, rows=2, wal_bytes=900, published=2),
    open=Cost(100, database_us=20, redis_us=20, subscribed=1, bytes=640),
    end=Cost(400, database_us=80, redis_us=20, transactions=0.1, rows=2, wal_bytes=1200, published=2),
    state=Cost(100, bytes=570),
    silence=Cost(1, bytes=0.5),
    look=Cost(5, database_us=2),
    kib=2.5,
    kernel_kib=3.8,
    redis_bytes=250,
    publish_us=10,
    cluster=2.5,
)
SMALL, LARGE = Load(10_000, 100), Load(1_000_000, 10_000)


def test_the_cpu_of_jobs_and_streams_grows_with_the_load() -> None:
    """A hundred times the load takes a hundred times the CPU, beside the looks at what was written."""
    few = plan(COSTS, SMALL, resync_seconds=1e9)
    many = plan(COSTS, LARGE, resync_seconds=1e9)
    assert many.wire_mb == pytest.approx(100 * few.wire_mb)
    assert many.transactions == pytest.approx(100 * few.transactions)
    assert few.node_cores - few.look_share * (few.processes or 0) == pytest.approx(
        (100 * 800 + SMALL.opens * 100 + 10_000) / 1e6
    )


def test_each_process_looks_at_every_written_row() -> None:
    """So its share does not shrink with more processes: two writes a job, each read seven times."""
    share = plan(COSTS, SMALL).look_share
    assert share == pytest.approx(100 * 2 * looks_per_row(1) * 5 / 1e6)


def test_a_look_too_cheap_to_measure_still_costs() -> None:
    """Also when the run without looks happens to use more."""
    results = load()
    for figures in results.scenarios["nodes"].figures["hookcast-sse"].values():
        figures["alone_holding_us"] = -100
    look = costs(results).look
    assert look.node_us == LEAST_LOOK_US


def test_no_number_of_processes_is_enough_when_looks_take_all() -> None:
    """At 10,000 ends a second these looks need more than the half of a core that is planned for."""
    planned = plan(COSTS, LARGE)
    assert planned.look_share > USED
    assert planned.processes is None


def test_rarer_looks_make_room() -> None:
    """Each row is read less often, because a look goes back for the same time whatever its interval."""
    often, rarely = looks_per_row(1), looks_per_row(30)
    assert rarely < often / 5
    assert plan(COSTS, LARGE, resync_seconds=30).processes is not None


def test_processes_have_enough_open_files() -> None:
    """Watchers without any job that ends still need a process for each so many streams."""
    assert plan(COSTS, Load(10 * STREAMS_PER_PROCESS, 0)).processes == 10


def test_processes_have_enough_cpu() -> None:
    """What they are busy with fits into the share of a core that is planned for."""
    planned = plan(COSTS, SMALL)
    assert planned.processes is not None
    assert planned.node_cores <= planned.processes * USED
    assert planned.node_cores > (planned.processes - 1) * USED - planned.look_share


def test_a_cluster_needs_more_than_one_server_that_is_too_small() -> None:
    """Ten times the jobs take ten times the CPU of Redis, and on a cluster that much more."""
    assert plan(COSTS, SMALL).redis_servers == 1
    jobs = LARGE.ends * (10 + 20) + LARGE.opens * 20
    assert plan(COSTS, LARGE, resync_seconds=30).redis_servers == -(-jobs * 2.5 / 1e6 // USED)


def test_what_breaks_first_comes_first() -> None:
    """And where it breaks, it does: the looks take the planned share of a core at the number that is named."""
    found = limits(COSTS, 100)
    assert [limit.ends for limit in found] == sorted(limit.ends for limit in found)
    looks = next(limit for limit in found if "look" in limit.what)
    assert looks.ends == pytest.approx(USED * 1e6 / (2 * looks_per_row(1) * 5), rel=0.01)


def test_a_cheaper_look_moves_its_limit() -> None:
    """By as much as it is cheaper."""
    cheap = Costs(**{**{name: getattr(COSTS, name) for name in COSTS.__slots__}, "look": Cost(0.5)})
    before, after = (next(limit.ends for limit in limits(cost, 100) if "look" in limit.what) for cost in (COSTS, cheap))
    assert after == pytest.approx(10 * before, rel=0.01)


def test_the_streams_of_a_restarted_process_are_shared_by_the_others() -> None:
    """Over the seconds of the drain; all at once they take all the CPU there is."""
    planned = plan(COSTS, LARGE, resync_seconds=30)
    assert planned.processes is not None
    found = restart(COSTS, planned)
    assert found.streams == pytest.approx(1_000_000 / planned.processes)
    assert found.share == pytest.approx(found.streams * 100 / 1e6 / 10 / (planned.processes - 1))
    assert found.at_once_seconds == pytest.approx(100 / planned.processes)


def test_the_pool_is_as_large_as_the_server_makes_it() -> None:
    """Else the connections to PostgreSQL are counted wrong."""
    assert postgresql._CONNECTIONS == POOL
