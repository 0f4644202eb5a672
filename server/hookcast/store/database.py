"""Open the database that a URL names."""

import asyncio

from sqlalchemy import make_url

from hookcast.store.base import Database
from hookcast.store.postgresql import Postgresql
from hookcast.store.sqlite import Sqlite


def open_database(url: str) -> Database:
    """The database at `sqlite:///path` or `postgresql://…`. Nothing is connected yet."""
    parsed = make_url(url)
    return Sqlite(parsed) if parsed.get_backend_name() == "sqlite" else Postgresql(parsed)


def migrate(url: str) -> None:
    """Bring the database up to date and close it again. Raises StoreUnavailable."""

    async def run() -> None:
        database = open_database(url)
        try:
            await database.migrate()
        finally:
            await database.close()

    asyncio.run(run())
