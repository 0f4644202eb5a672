"""Databases as earlier versions of Hookcast left them."""

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from hookcast.postgres_url import SCHEMA
from hookcast.store import migrations
from hookcast.store.database import open_database


async def make_older(url: str, revision: str, fill: Callable[[Connection], object] = lambda _: None) -> None:
    """Migrate an empty database to a revision as the version of that time did, where the search path begins.

    `fill` is called in the same transaction.
    """

    def make(connection: Connection) -> None:
        connection.execution_options(schema_translate_map={})  # no statement named a schema
        command.upgrade(_config(connection), revision)
        fill(connection)

    await _write(url, make)


async def step_back(url: str, revision: str) -> None:
    """Take a PostgreSQL database of this version back to a revision."""

    def back(connection: Connection) -> None:
        connection.exec_driver_sql(f"SET LOCAL search_path TO {SCHEMA}")
        command.downgrade(_config(connection), revision)

    await _write(url, back)


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["connection"] = connection
    return config


async def _write(url: str, work: Callable[[Connection], object]) -> None:
    database = open_database(url)
    await database.write(work, 60)
    await database.close()
