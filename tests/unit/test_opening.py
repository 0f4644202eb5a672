"""A node whose database is away at its start."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import cast

import pytest
from structlog.testing import capture_logs

from hookcast.errors import StoreRefused, StoreUnavailable, Trouble
from hookcast.opening import MAX_PAUSE_SECONDS, Opening
from hookcast.routes.services import Node, Services

pytestmark = pytest.mark.anyio
AWAY = StoreUnavailable("The database cannot be reached.", Trouble.UNREACHABLE, reason="Connection refused.")
SERVICES = cast("Services", object())


class Database:
    """Fails with the errors first; `pauses` are those between the attempts."""

    def __init__(self, *errors: StoreUnavailable) -> None:
        self.errors = list(errors)
        self.pauses: list[float] = []
        self.closed = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Services]:
        """Open the services."""
        if self.errors:
            raise self.errors.pop(0)
        yield SERVICES
        self.closed = True

    async def sleep(self, seconds: float) -> None:
        """Pass the time."""
        self.pauses.append(seconds)
        await asyncio.sleep(0)


def node() -> Node:
    """A node without services."""
    return Node(lambda: datetime.now(UTC))


async def test_services_are_there_when_the_block_begins_and_closed_when_it_ends() -> None:
    database, started = Database(), node()
    async with Opening(started, database.open, None, sleep=database.sleep).running():
        assert started.services is SERVICES
        closed_early = database.closed
    assert (closed_early, database.closed, database.pauses) == (False, True, [])


async def test_a_node_answers_without_a_database_that_is_migrated_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The services come later; the end does not wait for them."""
    monkeypatch.setattr("hookcast.opening.PATIENCE_SECONDS", 0.01)
    migrated, started = asyncio.Event(), node()

    @asynccontextmanager
    async def open_late() -> AsyncIterator[Services]:
        await migrated.wait()
        yield SERVICES

    async with Opening(started, open_late, None).running():
        early = started.ready
        migrated.set()
        while not started.ready:  # noqa: ASYNC110 - the opening runs in this loop
            await asyncio.sleep(0)
        assert (early, started.services) == (False, SERVICES)
    migrated.clear()
    async with Opening(other := node(), open_late, None).running():
        assert not other.ready


async def test_pauses_grow_up_to_a_limit_and_each_has_a_line() -> None:
    """Jittered; the reason is in the line, not in the answers of the node."""
    database, started = Database(*[AWAY] * 12), node()
    with capture_logs() as lines:
        async with Opening(started, database.open, None, sleep=database.sleep).running():
            with pytest.raises(StoreUnavailable) as caught:
                _ = started.services
            assert "Connection refused" not in str(caught.value)
            while not started.ready:  # noqa: ASYNC110 - the opening runs in this loop
                await asyncio.sleep(0)
    assert [line["event"] for line in lines] == ["waiting_for_database"] * 12
    assert {line["reason"] for line in lines} == {"Connection refused."}
    assert [line["retry_in"] for line in lines] == database.pauses
    assert 0.7 <= database.pauses[0] <= 1
    assert all(0.7 * MAX_PAUSE_SECONDS <= pause <= MAX_PAUSE_SECONDS for pause in database.pauses[-4:])


@pytest.mark.parametrize("before", [0, 3])
async def test_a_database_that_cannot_be_used_is_told_once(before: int) -> None:
    """At the first attempt, or when it comes up so."""
    database, started = Database(*[AWAY] * before, StoreRefused("No."), AWAY), node()
    told = asyncio.Queue[StoreRefused]()
    async with Opening(started, database.open, told.put_nowait, sleep=database.sleep).running():
        assert str(await told.get()) == "No."
        assert not started.ready
    assert database.errors == [AWAY]
    assert not database.closed


async def test_without_anybody_to_tell_the_lifespan_fails() -> None:
    """The server that runs the application decides."""
    database = Database(StoreRefused("No."))
    with pytest.raises(ExceptionGroup) as caught:
        async with Opening(node(), database.open, None, sleep=database.sleep).running():
            await asyncio.sleep(60)
    assert caught.group_contains(StoreRefused)


async def test_a_node_that_ends_waits_for_no_database() -> None:
    """Its attempt is given up."""
    database = Database(*[AWAY] * 3)
    async with Opening(node(), database.open, None, sleep=lambda _: asyncio.sleep(3600)).running():
        assert len(database.errors) == 2
