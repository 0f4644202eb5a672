"""Several hosts of PostgreSQL: which one is connected to."""

from typing import Any

import asyncpg
import pytest

from hookcast.postgres_url import parse
from hookcast.store.connecting import WAIT_SECONDS, Connector

pytestmark = pytest.mark.anyio
URL = "postgresql://u:p@a,b:5433,c/d"


class Hosts:
    """Stands in for asyncpg.connect: fails for some hosts."""

    def __init__(self, **failures: Exception) -> None:
        self.failures = failures
        self.asked: list[str] = []
        self.arguments: dict[str, Any] = {}

    async def connect(self, **arguments: Any) -> str:
        """Connect, or raise the host's error."""
        self.arguments = arguments
        (host,) = arguments["host"]
        self.asked.append(host)
        if host in self.failures:
            raise self.failures[host]
        return f"connected to {host}"


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Hosts:
    """Three hosts, of which the last works: the others are away, and read-only."""
    found = Hosts(a=ConnectionRefusedError(), b=asyncpg.TargetServerAttributeNotMatched("read-only"))
    monkeypatch.setattr(asyncpg, "connect", found.connect)
    return found


async def test_the_first_that_takes_writes_is_connected_to_and_comes_first_then(hosts: Hosts) -> None:
    """Until it fails itself; all share the time of one."""
    connector = Connector(parse(URL))
    assert await connector.connect() == "connected to c"
    assert hosts.arguments["target_session_attrs"] == "read-write"
    assert hosts.arguments["timeout"] == pytest.approx(WAIT_SECONDS / 3)
    await connector.connect()
    hosts.failures = {"c": TimeoutError()}
    assert await connector.connect() == "connected to a"
    assert hosts.asked == ["a", "b", "c", "c", "c", "a"]


async def test_where_none_works_the_last_error_is_raised(hosts: Hosts) -> None:
    hosts.failures["c"] = asyncpg.CannotConnectNowError("starting up")
    with pytest.raises(asyncpg.CannotConnectNowError):
        await Connector(parse(URL)).connect()


async def test_a_wrong_password_is_not_tried_at_the_next_host(hosts: Hosts) -> None:
    hosts.failures["a"] = asyncpg.InvalidPasswordError("no")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await Connector(parse(URL)).connect()
    assert hosts.asked == ["a"]


@pytest.mark.parametrize(("words", "seconds"), [("", 4), ("?connect_timeout=2", 2), ("?connect_timeout=60", 4)])
async def test_a_timeout_of_the_url_can_only_be_shorter(hosts: Hosts, words: str, seconds: float) -> None:
    """A transaction has its own deadline."""
    await Connector(parse(f"postgresql://u:p@c/d{words}")).connect()
    assert hosts.arguments["timeout"] == seconds
    assert hosts.arguments["target_session_attrs"] == "any"
