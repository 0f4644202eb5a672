"""A server that keeps inputs, with a job that failed."""

from collections.abc import AsyncIterator

import pytest

from support.retries import NumberingFal, fail, keeping
from support.server import Node


@pytest.fixture
def fal() -> NumberingFal:
    """A fal that takes everything."""
    return NumberingFal()


@pytest.fixture
async def kept(database_url: str, fal: NumberingFal) -> AsyncIterator[Node]:
    """Such a server, with job-1 of user-1, which failed."""
    async with keeping(fal, database_url) as node:
        await fail(node)
        yield node
