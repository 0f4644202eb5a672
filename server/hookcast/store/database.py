"""Open or migrate the database at a URL."""

import asyncio

from sqlalchemy import make_url

from hookcast import postgres_url
from hookcast.store.base import MIGRATION_SECONDS, Database
from hookcast.store.sqlite import Sqlite


def open_database(url: str, schema: str = postgres_url.SCHEMA) -> Database:
    """Return the database at `sqlite:///path` or `postgresql://…`, there in `schema`, without connecting to it.

    Raises StoreRefused for certificates in the URL that cannot be used.
    """
    if url.startswith("sqlite"):
        return Sqlite(make_url(url))
    from hookcast.store.postgresql import Postgresql  # noqa: PLC0415 - a fifth of the start-up time

    return Postgresql(postgres_url.parse(url), schema)


def migrate(
    url: str, seconds: float = MIGRATION_SECONDS, *, schema: str = postgres_url.SCHEMA, compact: bool = False
) -> None:
    """Migrate the database to the newest schema, in at most `seconds`, and rewrite SQLite's file if `compact`.

    Raises StoreUnavailable.
    """

    async def run() -> None:
        database = open_database(url, schema)
        try:
            await database.migrate(seconds)
            if compact:
                await database.rewrite()
        finally:
            await database.close()

    asyncio.run(run())
