"""Fixtures of all tests: asyncio as the only event loop, a database of one's own, a running server."""

import signal
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis.internal.conjecture.optimiser  # noqa: F401 - else loaded deep in a test, where Python 3.11 may fail to
import pytest
from hypothesis import HealthCheck, settings

from support.fal import FalDouble
from support.pooler import running_pooler
from support.postgres import Postgres, running_postgres
from support.redis import Redis, running_redis
from support.server import Node, running_node

pytest_plugins = ["support.watchdog"]

# A shell starts its background commands with SIGINT ignored, and every command that a test starts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is no failure.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture
def anyio_backend() -> str:
    """Hookcast runs on asyncio."""
    return "asyncio"


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """A database file that nobody else uses."""
    return f"sqlite:///{tmp_path / 'hookcast.db'}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for the whole run."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """A Redis for the whole run."""
    with running_redis() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """An empty PostgreSQL database."""
    name = f"test_{uuid.uuid4().hex}"
    yield postgres.create(name)
    postgres.drop(name)


@pytest.fixture(scope="session")
def pooler_port(postgres: Postgres) -> Iterator[int]:
    """PgBouncer in transaction mode in front of the PostgreSQL server."""
    with running_pooler(postgres) as port:
        yield port


@pytest.fixture
def pooler_url(postgres_url: str, postgres: Postgres, pooler_port: int) -> str:
    """An empty PostgreSQL database behind the pooler."""
    return postgres_url.replace(f":{postgres.port}/", f":{pooler_port}/")


@pytest.fixture(params=["sqlite", "postgresql", "pooler"])
def any_database_url(request: pytest.FixtureRequest) -> str:
    """An empty database of each kind."""
    name = {"sqlite": "database_url", "postgresql": "postgres_url", "pooler": "pooler_url"}[request.param]
    found: str = request.getfixturevalue(name)
    return found


@pytest.fixture
def fal() -> FalDouble:
    """A fal that answers what the test says, and signs webhooks."""
    return FalDouble()


@pytest.fixture
async def node(database_url: str, fal: FalDouble) -> AsyncIterator[Node]:
    """A real server on a real port, with the double as its fal."""
    async with running_node(fal, database_url=database_url) as running:
        yield running
