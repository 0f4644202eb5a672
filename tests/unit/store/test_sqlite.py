"""What only SQLite does."""

import asyncio
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec import Raw

from hookcast.errors import StoreUnavailable
from hookcast.jobs import Completed, unseen
from hookcast.store import base, migrate, open_store
from hookcast.store.base import LookUp
from hookcast.store.schema import jobs
from hookcast.transitions import advance
from hookcast.upkeep.retention import Retention

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


async def test_a_new_file_that_another_process_is_writing_to_is_waited_for(tmp_path: Path) -> None:
    """SQLite itself answers "database is locked" at once to who wants to make the file WAL."""
    path = tmp_path / "hookcast.db"
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        asyncio.get_running_loop().call_later(0.1, other.execute, "COMMIT")
        async with open_store(f"sqlite:///{path}") as store:
            await store.probe()
    other.close()


@pytest.mark.parametrize(("old", "shrinks"), [(None, True), ("as it is", False), ("compacted", True)])
async def test_the_file_shrinks_when_old_jobs_are_removed(tmp_path: Path, old: str | None, shrinks: bool) -> None:
    """One of an earlier version has to be written anew before; until then it uses the space again."""
    path = tmp_path / "hookcast.db"
    if old is not None:
        with closing(sqlite3.connect(path)) as file:
            file.executescript("CREATE TABLE x (y); DROP TABLE x;")
    if old == "compacted":
        await asyncio.to_thread(migrate, f"sqlite:///{path}", compact=True)
    now = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
    async with open_store(f"sqlite:///{path}") as store:
        for number in range(200):
            job = unseen(f"job-{number}", now=now)
            job = advance(job, Completed(result=Raw(b'"' + b"x" * 20_000 + b'"')), now=now)
            await store.change(job.request_id, lambda _, job=job: job)  # type: ignore[misc]
        retention = Retention(store, lambda: now + timedelta(days=31), timedelta(days=30), sleep=asyncio.sleep)
        assert await retention.clean() == 200
    size = path.stat().st_size
    assert size < 400_000 if shrinks else size > 4_000_000


@pytest.mark.parametrize("replaced", [False, True])
async def test_nothing_is_written_to_a_file_that_is_gone(tmp_path: Path, replaced: bool) -> None:
    """SQLite would go on writing, and lose it all with the next restart; once the file is back, all is well."""
    path, aside = tmp_path / "hookcast.db", tmp_path / "aside.db"
    job = advance(unseen("job-1", now=NOW), Completed(result=Raw(b"1")), now=NOW)
    async with open_store(f"sqlite:///{path}") as store:
        path.rename(aside)
        if replaced:
            path.write_bytes(aside.read_bytes())
        with pytest.raises(StoreUnavailable) as caught:
            await store.change("job-1", lambda _: job)
        assert "was removed or replaced" in caught.value.reason
        with pytest.raises(StoreUnavailable):
            await store.probe()
        aside.rename(path)
        await store.change("job-1", lambda _: job)
        assert await store.get("job-1") == job


async def test_a_look_up_has_the_deadline_of_other_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though it does without their transaction."""
    over = threading.Event()
    query = LookUp([jobs.c.request_id], jobs.c.request_id, lambda _: over.wait(60))
    async with open_store(f"sqlite:///{tmp_path / 'hookcast.db'}") as store:
        job = unseen("job-1", now=NOW)
        await store.change("job-1", lambda _: advance(job, Completed(result=Raw(b"1")), now=NOW))
        monkeypatch.setattr(base, "DEADLINE_SECONDS", 0.05)
        try:
            async with asyncio.timeout(20):
                with pytest.raises(StoreUnavailable):
                    await store._database.look_up(query, ["job-1"])
        finally:
            over.set()
