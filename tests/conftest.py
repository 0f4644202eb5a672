"""Fixtures for all tests: asyncio as the only event loop, a separate database per test, a running server.

A test's database is a copy of one that `migrate` made, since the migrations take longer than most tests. Tests of
migrations, and of the first start of a server, have the mark `empty_database`.
"""

import gc
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis.internal.conjecture.optimiser  # noqa: F401 - else imported deep in a test, where Python 3.11 may fail
import pytest
from hypothesis import HealthCheck, settings
from playwright.async_api import Browser

from hookcast.store import migrate
from support.clients import chromium
from support.fal import FalDouble
from support.pooler import running_pooler
from support.postgres import Postgres, running_postgres
from support.redis import Redis, running_redis
from support.server import Node, running_node

pytest_plugins = ["support.watchdog"]

# Shells start background commands with SIGINT ignored, and nohup ignores SIGHUP; restore both, or every command that a
# test starts inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Whoever turns this off, as containers do, has each worker and each command that a test starts compile all it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Collected tests stay to the end: to look for garbage among them took a tenth of a worker's time.
gc.set_threshold(20_000)

# Slowness on a busy machine is not a failure.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_collection_finish() -> None:
    """Leave what was collected out of all later searches for garbage."""
    gc.freeze()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run async tests on asyncio, as Hookcast does."""
    return "asyncio"


@pytest.fixture(autouse=True)
def patient_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the database the time that it needs on a machine four times as slow."""
    monkeypatch.setattr("hookcast.store.base.DEADLINE_SECONDS", 20.0)


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Run one Chromium for all tests of a module."""
    async with chromium() as running:
        yield running


def _empty(request: pytest.FixtureRequest) -> bool:
    return request.node.get_closest_marker("empty_database") is not None


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the content of a migrated SQLite file."""
    file = tmp_path_factory.mktemp("migrated") / "hookcast.db"
    migrate(f"sqlite:///{file}")
    return file.read_bytes()


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a SQLite database of the test's own."""
    file = tmp_path / "hookcast.db"
    if not _empty(request):
        file.write_bytes(request.getfixturevalue("migrated_file"))
    return f"sqlite:///{file}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL server for the whole session."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_database(postgres: Postgres) -> str:
    """Return the name of a migrated database, which PostgreSQL can copy."""
    migrate(postgres.create("migrated"))
    return "migrated"


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """Run a Redis for the whole session."""
    with running_redis() as server:
        yield server


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest, postgres: Postgres) -> Iterator[str]:
    """Yield the URL of a PostgreSQL database of the test's own."""
    name = f"test_{uuid.uuid4().hex}"
    yield postgres.create(name, None if _empty(request) else request.getfixturevalue("migrated_database"))
    postgres.drop(name)


@pytest.fixture(scope="session")
def pooler_port(postgres: Postgres) -> Iterator[int]:
    """Run PgBouncer in transaction mode in front of the PostgreSQL server."""
    with running_pooler(postgres) as port:
        yield port


@pytest.fixture
def pooler_url(postgres_url: str, postgres: Postgres, pooler_port: int) -> str:
    """Return the URL of a PostgreSQL database of the test's own, behind the pooler."""
    return postgres_url.replace(f":{postgres.port}/", f":{pooler_port}/")


@pytest.fixture(params=["sqlite", "postgresql", "pooler"])
def any_database_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of a database of the test's own, of each kind."""
    name = {"sqlite": "database_url", "postgresql": "postgres_url", "pooler": "pooler_url"}[request.param]
    found: str = request.getfixturevalue(name)
    return found


@pytest.fixture
def fal() -> FalDouble:
    """Return a test double of fal: scripted responses, signed webhooks."""
    return FalDouble()


@pytest.fixture
async def node(database_url: str, fal: FalDouble) -> AsyncIterator[Node]:
    """Run a real server on a real port, with the double as its fal."""
    async with running_node(fal, database_url=database_url) as running:
        yield running
