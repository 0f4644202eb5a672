"""Fixtures of the tests that kill things, and what these report at the end of a run."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.chaos import Chaos, chaos_of

NOTES = pytest.StashKey[list[str]]()


@pytest.fixture
async def chaos(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Chaos]:
    """The test's luck, reproducible by its seed."""
    notes = request.config.stash.setdefault(NOTES, [])
    async with chaos_of(request.node.name, tmp_path, notes) as luck:
        yield luck


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Seeds and figures, also of the tests that passed."""
    notes = terminalreporter.config.stash.get(NOTES, [])
    if notes:
        terminalreporter.section("chaos")
        for line in notes:
            terminalreporter.write_line(line)
