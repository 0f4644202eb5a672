"""What the tests of the Python client share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.emulated import emulated_fal
from support.fal import FalDouble
from support.server import Node, running_node


@pytest.fixture
async def whole(database_url: str) -> AsyncIterator[Node]:
    """A server whose fal is the emulator, ten times as fast as fal."""
    async with (
        emulated_fal(speed=10) as emulator,
        running_node(FalDouble(), emulator=emulator, database_url=database_url) as node,
    ):
        yield node


@pytest.fixture
async def keeping(database_url: str, tmp_path: Path) -> AsyncIterator[Node]:
    """The same, and it keeps the files of results."""
    given = {"database_url": database_url, "media_url": f"file://{tmp_path}/media"}
    async with emulated_fal(speed=10) as emulator, running_node(FalDouble(), emulator=emulator, **given) as node:
        yield node
