"""Fixtures of all tests: asyncio as the only event loop, a database of one's own, a running server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.fal import FalDouble
from support.server import Node, running_node


@pytest.fixture
def anyio_backend() -> str:
    """Hookcast runs on asyncio."""
    return "asyncio"


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """A database file that nobody else uses."""
    return f"sqlite:///{tmp_path / 'hookcast.db'}"


@pytest.fixture
def fal() -> FalDouble:
    """A fal that answers what the test says, and signs webhooks."""
    return FalDouble()


@pytest.fixture
async def node(database_url: str, fal: FalDouble) -> AsyncIterator[Node]:
    """A real server on a real port, with the double as its fal."""
    async with running_node(fal, database_url=database_url) as running:
        yield running
