"""The documents that show figures show those of `bench/results.json`."""

import copy

import pytest
from bench.catalog import ROOT
from bench.report.cells import spread
from bench.report.documents import DOCUMENTS, rendered
from bench.results import Results, load


@pytest.fixture(scope="module")
def results() -> Results:
    """What was measured last."""
    return load()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_shows_the_kept_figures(results: Results, document: str) -> None:
    """So the README, the benchmarks and growth agree: `python -m bench.report` writes them."""
    assert (ROOT / document).read_text() == rendered(document, results)


@pytest.mark.parametrize("document", ["README.md", "docs/benchmarks.md"])
def test_a_figure_that_was_measured_anew_changes_the_document(results: Results, document: str) -> None:
    """Else the test above would not see that the README and the benchmarks differ."""
    faster = copy.deepcopy(results)
    for runs in faster.scenarios["fanout"].figures.values():
        for figures in runs.values():
            figures["deliveries"] *= 1.5
    assert rendered(document, faster) != rendered(document, results)


def test_growth_changes_with_the_costs(results: Results) -> None:
    """Its tables are computed, not written."""
    dearer = copy.deepcopy(results)
    for figures in dearer.scenarios["nodes-without-resync"].figures["hookcast-sse"].values():
        figures["opening_holding_us"] *= 2
    assert rendered("docs/growth.md", dearer) != rendered("docs/growth.md", results)


def test_the_readme_names_commit_and_machine(results: Results) -> None:
    """Of each figure in it."""
    text = " ".join((ROOT / "README.md").read_text().split())
    for scenario in {"fanout", "storm", "idle", "webhooks"} & set(results.scenarios):
        origin = results.scenarios[scenario].origin
        assert f"commit {origin.commit} on one core of {origin.machine.partition(',')[0]}" in text


def test_the_figures_of_the_readme_are_in_the_benchmarks(results: Results) -> None:
    """As rounded there, to three digits."""
    benchmarks = (ROOT / "docs/benchmarks.md").read_text()
    for scenario, name in (("fanout", "deliveries"), ("storm", "opened"), ("webhooks", "most_per_second")):
        if scenario in results.scenarios:
            assert spread(results.values(scenario, "hookcast-sse", name)) in benchmarks


def test_every_kept_figure_is_of_a_commit(results: Results) -> None:
    """Not of changes that nobody has."""
    for measured in results.scenarios.values():
        assert not measured.origin.commit.endswith("-dirty")
