"""The table of a receiver that a webhook has an effect on: how many credits each owner has."""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import asyncpg

SECONDS = 60.0


class Accounts(ABC):
    """Accounts of owners."""

    table: str

    @abstractmethod
    async def open(self, owner: str, credit: int) -> None:
        """Add an account with this much credit."""

    @abstractmethod
    async def credit(self, owner: str) -> int:
        """Return how much an owner has."""

    @abstractmethod
    async def run(self, query: str, *values: object) -> object:
        """Run SQL, and return the first value of its first row."""

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """Let every statement that needs the table fail inside the block."""
        await self.run(f"ALTER TABLE {self.table} RENAME TO away")
        try:
            yield
        finally:
            await self.run(f"ALTER TABLE away RENAME TO {self.table}")


@dataclass
class InPostgres(Accounts):
    """Accounts in PostgreSQL."""

    url: str
    table: str = "accounts"

    async def open(self, owner: str, credit: int) -> None:
        """Add an account."""
        await self.run("INSERT INTO accounts VALUES ($1, $2)", owner, credit)

    async def credit(self, owner: str) -> int:
        """Return how much an owner has."""
        return int(str(await self.run("SELECT credits FROM accounts WHERE owner = $1", owner)))

    async def run(self, query: str, *values: object) -> object:
        """Run SQL, and return the first value of its first row."""
        connection = await asyncpg.connect(self.url)
        try:
            return await (connection.fetchval(query, *values) if values else connection.execute(query))
        finally:
            await connection.close()


class InSupabase(InPostgres):
    """Accounts of the users of Supabase Auth."""

    async def open(self, owner: str, credit: int) -> None:
        """Add a user and an account."""
        await self.run("INSERT INTO auth.users (id) VALUES ($1)", owner)
        await super().open(owner, credit)


@dataclass
class InSqlite(Accounts):
    """Accounts in a SQLite file."""

    file: Path
    table: str

    async def open(self, owner: str, credit: int) -> None:
        """Add an account."""
        await self.run(f"INSERT INTO {self.table} (owner, credits) VALUES (?, ?)", owner, credit)  # noqa: S608

    async def credit(self, owner: str) -> int:
        """Return how much an owner has."""
        return int(str(await self.run(f"SELECT credits FROM {self.table} WHERE owner = ?", owner)))  # noqa: S608

    async def run(self, query: str, *values: object) -> object:
        """Run SQL, and return the first value of its first row."""
        with closing(sqlite3.connect(self.file, timeout=SECONDS)) as database, database:
            return next(iter(database.execute(query, values).fetchone() or ()), None)
