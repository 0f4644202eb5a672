"""What only SQLite does."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec import Raw

from hookcast.jobs import Completed, advance, unseen
from hookcast.store import open_store
from hookcast.upkeep.retention import Retention

pytestmark = pytest.mark.anyio


async def test_a_new_file_that_another_process_is_writing_to_is_waited_for(tmp_path: Path) -> None:
    """SQLite itself answers "database is locked" at once to who wants to make the file WAL."""
    path = tmp_path / "hookcast.db"
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        asyncio.get_running_loop().call_later(0.1, other.execute, "COMMIT")
        async with open_store(f"sqlite:///{path}") as store:
            await store.ping()
    other.close()


@pytest.mark.parametrize("old", [False, True])
async def test_the_file_shrinks_when_old_jobs_are_removed(tmp_path: Path, old: bool) -> None:
    """Not one of an earlier version, which uses the space again: it would have to be written anew."""
    path = tmp_path / "hookcast.db"
    if old:
        with closing(sqlite3.connect(path)) as file:
            file.executescript("CREATE TABLE x (y); DROP TABLE x;")
    now = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
    async with open_store(f"sqlite:///{path}") as store:
        for number in range(200):
            job = unseen(f"job-{number}", now=now)
            job = advance(job, Completed(result=Raw(b'"' + b"x" * 20_000 + b'"')), now=now)
            await store.change(job.request_id, lambda _, job=job: job)  # type: ignore[misc]
        retention = Retention(store, lambda: now + timedelta(days=31), timedelta(days=30), sleep=asyncio.sleep)
        assert await retention.clean() == 200
    size = path.stat().st_size
    assert size > 4_000_000 if old else size < 400_000
