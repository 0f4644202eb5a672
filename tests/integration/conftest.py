"""A server that keeps the files of results."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.emulated import emulated_fal
from support.keeping import keeper
from support.server import Node


@pytest.fixture
async def fal_url() -> AsyncIterator[str]:
    """The URL of an emulated fal."""
    async with emulated_fal(speed=100) as url:
        yield url


@pytest.fixture
async def keeping(fal_url: str, database_url: str, tmp_path: Path) -> AsyncIterator[Node]:
    """A server that keeps files in `tmp_path/media`."""
    async with keeper(fal_url, database_url, tmp_path) as node:
        yield node
