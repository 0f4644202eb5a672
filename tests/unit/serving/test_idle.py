"""Which connections give way when there are too many."""

import asyncio

import pytest
from structlog.testing import capture_logs

from hookcast.serving import idle
from hookcast.serving.idle import Idle

pytestmark = pytest.mark.anyio


class Connection(asyncio.Transport):
    """One that waits for its client, and its own transport."""

    def __init__(self, connections: set[object], unread: int = 0) -> None:
        super().__init__()
        self.connections: set[object] = connections
        self.transport: asyncio.Transport = self
        self.open = True
        self.aborted = False
        self.unread = unread
        connections.add(self)

    def get_write_buffer_size(self) -> int:
        """Bytes of an answer that the client has not read."""
        return self.unread

    def close(self) -> None:
        """End it once everything is read."""
        self.open = bool(self.unread)

    def abort(self) -> None:
        """End it."""
        self.open, self.aborted = False, True


async def test_the_one_that_has_waited_longest_gives_way() -> None:
    """Not one that is being answered, nor one that was a moment ago."""
    shared: set[object] = set()
    waiting = Idle(limit=3)
    first, second, third = [Connection(shared) for _ in range(3)]
    for connection in (first, second, third):
        waiting.add(connection)
    waiting.discard(first)
    waiting.add(second)
    waiting.add(Connection(shared))
    assert [connection.open for connection in (first, second, third)] == [True, True, False]


async def test_an_unread_answer_keeps_no_connection() -> None:
    """Closing would wait for its client."""
    slow = Connection(set(), unread=1)
    Idle(limit=0).add(slow)
    assert slow.aborted


async def test_a_new_connection_gives_way_when_no_other_waits() -> None:
    """The files that are left are for what is not a connection."""
    shared: set[object] = {object() for _ in range(3)}
    newest = Connection(shared)
    Idle(limit=3).add(newest)
    assert not newest.open


async def test_idle_connections_are_bounded_whatever_the_limit_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "MAX_IDLE", 2)
    shared: set[object] = set()
    waiting = Idle()
    connections = [Connection(shared) for _ in range(5)]
    with capture_logs() as told:
        for connection in connections:
            waiting.add(connection)
    assert [connection.open for connection in connections] == [False, False, False, True, True]
    assert [line["event"] for line in told] == ["connections_full"]
