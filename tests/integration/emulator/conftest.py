"""A running emulator and a running receiver for each test."""

from collections.abc import AsyncIterator

import pytest

from integration.emulator.playing import Emulated, Receiver, emulated, receiving


@pytest.fixture
async def fal() -> AsyncIterator[Emulated]:
    """The emulator, fifty times as fast as by default."""
    async with emulated() as running:
        yield running


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A server that takes webhooks."""
    async with receiving() as running:
        yield running
