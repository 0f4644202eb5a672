"""Fixtures of the fuzz tests, and what these report at the end of a run."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.fuzz import Fuzz, fuzzing
from support.loops import UVLOOP

NOTES = pytest.StashKey[list[str]]()


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The event loop of `hookcast serve`: sending must not be what is slow."""
    return UVLOOP


@pytest.fixture
def notes(request: pytest.FixtureRequest) -> list[str]:
    """The lines that are reported at the end."""
    return request.config.stash.setdefault(NOTES, [])


@pytest.fixture
async def fuzz(request: pytest.FixtureRequest, tmp_path: Path, notes: list[str]) -> AsyncIterator[Fuzz]:
    """A server under fire, and the test's luck, reproducible by its seed."""
    async with fuzzing(request.node.name, tmp_path, notes) as running:
        yield running


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Seeds and figures, also of the tests that passed."""
    notes = terminalreporter.config.stash.get(NOTES, [])
    if notes:
        terminalreporter.section("fuzz")
        for line in notes:
            terminalreporter.write_line(line)
