"""The id of the deployment: all nodes of one database share it, and no other database has it."""

import uuid

from sqlalchemy import Connection, select

from hookcast.store.base import Database
from hookcast.store.schema import deployment

_ID = select(deployment.c.id)


async def deployment_id(database: Database) -> str:
    """Return the id, made by the first node that asks. Raises StoreUnavailable."""
    insert = database.upsert(deployment).values(only=True, id=uuid.uuid4().hex).on_conflict_do_nothing()

    def make(connection: Connection) -> str:
        connection.execute(insert)
        return str(connection.execute(_ID).scalar_one())

    known = await database.read(lambda connection: connection.scalar(_ID))
    return await database.write(make) if known is None else str(known)
