"""What the tests of the Python client share."""

from collections.abc import AsyncIterator

import pytest

from hookcast.emulator import begin_shutdown, create_emulator
from support.fal import FalDouble
from support.falhost import served_app
from support.server import Node, running_node


@pytest.fixture
async def whole(database_url: str) -> AsyncIterator[Node]:
    """A server whose fal is the emulator, ten times as fast as fal."""
    emulated = create_emulator(speed=10)
    async with (
        served_app(emulated, lambda: begin_shutdown(emulated)) as emulator,
        running_node(FalDouble(), emulator=emulator, database_url=database_url) as node,
    ):
        yield node
