"""A backend, and a node that tells it."""

from collections.abc import AsyncIterator

import pytest

from support.fal import FalDouble
from support.receiver import Receiver, running_receiver
from support.server import Node
from support.telling import telling


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """The user's backend."""
    async with running_receiver() as running:
        yield running


@pytest.fixture
async def node(receiver: Receiver, fal: FalDouble, any_database_url: str) -> AsyncIterator[Node]:
    """A node that tells the ends of jobs."""
    async with telling(receiver, fal, any_database_url) as running:
        yield running
