"""The bounds in pyproject.toml: what the start checks, what .ci/lowest.txt installs, and no package more or less."""

import ast
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from hookcast.cli import installation

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DECLARED = {each.name: each for each in map(Requirement, PROJECT["dependencies"])}
LOADED_BY_NAME = {"httptools", "uvloop"}  # by SQLAlchemy and uvicorn
VERSIONS = st.builds(".".join, st.lists(st.integers(0, 30).map(str), min_size=1, max_size=4))


def test_the_start_checks_the_bounds_of_pyproject() -> None:
    """Those of all packages are known, whatever form the metadata has."""
    found = {name: SpecifierSet(bounds) for name, bounds in installation.requirements().items()}
    assert found == {name: each.specifier for name, each in DECLARED.items()}


@given(VERSIONS, VERSIONS, VERSIONS)
def test_versions_are_compared_as_pip_does(version: str, low: str, high: str) -> None:
    bounds = f">={low},<{high}"
    assert installation.within(version, bounds) is (Version(version) in SpecifierSet(bounds))


@pytest.mark.parametrize(
    ("version", "fits"),
    [("0.55.0rc1", False), ("0.55.0.dev1", False), ("0.54.1rc1", True), ("0.54.0+local.9", True), (None, False)],
)
def test_a_first_release_that_is_excluded_is_excluded_before_it_is_out(version: str | None, fits: bool) -> None:
    """Pre-releases of the others are taken; a package that is missing is not."""
    assert installation.within(version, ">=0.52.1,<0.55") is fits


def test_what_is_reached_into_has_an_upper_bound_and_nothing_else_has() -> None:
    """Others may be as new as they like: an upper bound would keep an application from updating."""
    upper = {name for name, each in DECLARED.items() if any(bound.operator != ">=" for bound in each.specifier)}
    assert upper == set(installation.REACHED_INTO)


def test_every_lower_bound_is_what_check_lowest_installs() -> None:
    """After a change of a bound, `make lock` writes .ci/lowest.txt anew."""
    lines = (ROOT / ".ci/lowest.txt").read_text()
    pinned = {name: Version(version) for name, version in re.findall(r"^([\w.-]+)==(\S+)", lines, re.MULTILINE)}
    lowest = {name: min(Version(bound.version) for bound in each.specifier) for name, each in DECLARED.items()}
    assert {name: pinned[name] for name in lowest} == lowest


def test_what_is_imported_is_declared_and_nothing_more() -> None:
    """So that no package is there by chance."""
    names = metadata.packages_distributions()
    imported = {
        names[top][0].lower().replace("_", "-")
        for path in (ROOT / "server").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for top in _tops(node)
        if top not in sys.stdlib_module_names | {"hookcast"}
    }
    assert imported | LOADED_BY_NAME == set(DECLARED)


def _tops(node: ast.AST) -> set[str]:
    """The top-level packages that a statement imports from."""
    if isinstance(node, ast.ImportFrom):
        return {str(node.module).partition(".")[0]}
    return {each.name.partition(".")[0] for each in node.names} if isinstance(node, ast.Import) else set()
