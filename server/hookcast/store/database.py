"""Open or migrate the database at a URL."""

import asyncio

from sqlalchemy import make_url

from hookcast.store.base import Database
from hookcast.store.postgresql import Postgresql
from hookcast.store.sqlite import Sqlite


def open_database(url: str) -> Database:
    """Return the database at `sqlite:///path` or `postgresql://…`, without connecting to it."""
    parsed = make_url(url)
    return Sqlite(parsed) if parsed.get_backend_name() == "sqlite" else Postgresql(parsed)


def migrate(url: str, *, compact: bool = False) -> None:
    """Migrate the database to the newest schema, and write SQLite's file anew if `compact`. Raises StoreUnavailable."""

    async def run() -> None:
        database = open_database(url)
        try:
            await database.migrate()
            if compact:
                await database.rewrite()
        finally:
            await database.close()

    asyncio.run(run())
