"""Databases as earlier versions of Hookcast left them."""

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from hookcast.store import migrations
from hookcast.store.database import open_database


async def make_older(url: str, revision: str, fill: Callable[[Connection], object] = lambda _: None) -> None:
    """Migrate an empty database to a revision as the version of that time did, where the search path begins.

    `fill` is called in the same transaction.
    """

    def make(connection: Connection) -> None:
        connection.execution_options(schema_translate_map={})  # no statement named a schema
        config = Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        fill(connection)

    database = open_database(url)
    await database.write(make, 60)
    await database.close()
