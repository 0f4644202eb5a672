"""The figures of the benchmark: kept by scenario, compared within a run, shown as medians."""

from pathlib import Path

import pytest
from bench.checkouts import checkouts
from bench.process import BenchError
from bench.report.cells import Column, Relative, spread, table
from bench.results import Origin, Results, load

OLD, NEW = (Origin(f"2026-01-0{day}", f"commit{day}", "a machine", "versions", "full", 2) for day in (1, 2))


def _results(origin: Origin, scenario: str, **figures: tuple[float, ...]) -> Results:
    results = Results(origin=origin)
    for peer, values in figures.items():
        for run, value in enumerate(values):
            results.add(scenario, peer.replace("_", "-"), run, {"rate": value})
    return results


def test_a_scenario_that_was_not_measured_again_stays(tmp_path: Path) -> None:
    """With its own commit, so that each figure says where it comes from."""
    file = tmp_path / "results.json"
    _results(OLD, "fanout", floor_sse=(1, 2)).save(file)
    _results(NEW, "storm", floor_sse=(3, 4)).save(file)
    kept = load(file)
    assert kept.scenarios["fanout"].origin == OLD
    assert kept.scenarios["storm"].origin == NEW
    assert kept.values("storm", "floor-sse", "rate") == [3, 4]


def test_a_scenario_that_was_measured_again_is_replaced(tmp_path: Path) -> None:
    """Whole, so that no ratio is of two machines."""
    file = tmp_path / "results.json"
    _results(OLD, "fanout", floor_sse=(1, 2), nchan_sse=(5, 6)).save(file)
    _results(NEW, "fanout", floor_sse=(3,)).save(file)
    assert load(file).peers("fanout") == ["floor-sse"]


def test_ratios_are_of_one_run() -> None:
    """A run that only one of the two has is left out."""
    results = _results(NEW, "fanout", hookcast_sse=(10, 40, 90), floor_sse=(10, 20))
    assert results.ratios("fanout", "rate", "hookcast-sse", "floor-sse") == [1, 2]


def test_a_figure_is_a_median_with_its_extremes() -> None:
    """In three digits."""
    assert spread([1, 300_000, 20]) == "20.0 (1.00 to 300k)"
    assert spread([0.123]) == "0.12"


def test_a_table_has_the_peers_in_the_catalog_s_order() -> None:
    """Those of other commits last; a figure that a peer lacks is a dash."""
    results = _results(NEW, "fanout", hookcast_sse=(2,), floor_sse=(4,))
    results.add("fanout", "hookcast@abc-sse", 0, {"rate": 1})
    results.add("idle", "floor-sse", 0, {"kib": 0.2})
    columns = (
        Column("rate", "fanout", ("rate",)),
        Relative("of the floor", "fanout", "rate", lambda _: "floor-sse"),
        Column("KiB", "idle", ("kib",)),
    )
    assert table(results, columns)[2:] == [
        "| floor (C), SSE | 4.00 | 1.00 | 0.20 |",
        "| Hookcast, SSE | 2.00 | 0.50 | - |",
        "| Hookcast abc, SSE | 1.00 | 0.25 | - |",
    ]


def test_a_folder_with_a_checkout_becomes_two_rows(tmp_path: Path) -> None:
    """One for each transport; an old one without `auth/` is not asked to check tokens."""
    (tmp_path / "before" / "server" / "hookcast").mkdir(parents=True)
    with checkouts([str(tmp_path / "before")]) as peers:
        assert [(peer.name, peer.authorises) for peer in peers] == [
            ("hookcast@before-sse", False),
            ("hookcast@before-ws", False),
        ]
        assert all(peer.is_hookcast() for peer in peers)


def test_what_is_neither_folder_nor_commit_is_refused() -> None:
    """With what git says of it."""
    with (
        pytest.raises(BenchError, match="no-such-commit is neither a folder nor a commit"),
        checkouts(["no-such-commit"]),
    ):
        pass
