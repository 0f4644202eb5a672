"""Hookcast as it is published, on a machine that never had it: `make test-install` builds it first."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.published import WHEEL

OURS = ("HOOKCAST_", "FAL_KEY", "VIRTUAL_ENV", "PYTHONPATH", "COVERAGE_")


@pytest.fixture(scope="session", autouse=True)
def _clean() -> Iterator[None]:
    """Keep settings and the environment of the tests away from what is installed, which must be there."""
    assert WHEEL.exists(), "make build"
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(OURS)]:
            patch.delenv(name)
        yield


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder: no cache, no configuration."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder
