"""Pieces of durable work."""

from hookcast.consequences import Kind, Start
from hookcast.store import WorkTable
from hookcast.store.database import open_database
from hookcast.store.work import add

NEVER = 3600.0
AT_ONCE = -1.0
FETCH = Kind.FETCH


async def fill(url: str, *names: str, after: float = AT_ONCE) -> None:
    """Add pieces, each due a second after the one before."""
    database = open_database(url)
    starts = [Start(f"fetch:{name}", FETCH, name, after + number, "{}") for number, name in enumerate(names)]
    await database.write(lambda connection: add(database, connection, starts))
    await database.close()


async def claimed(table: WorkTable, holder: str, limit: int = 100, seconds: float = NEVER) -> list[str]:
    """Claim what is due; return the jobs."""
    return sorted(piece.request_id for piece in await table.claim(FETCH, limit, holder, seconds))
