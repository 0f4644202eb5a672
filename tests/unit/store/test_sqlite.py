"""What only SQLite does."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from hookcast.store import open_store

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
