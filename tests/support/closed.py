"""A server that asks for keys and tokens."""

import contextlib
from collections.abc import AsyncIterator

import httpx

from support.access import ADMIN, JWKS_PATH, SETTINGS, IdentityProvider
from support.fal import ENDPOINT, FalDouble
from support.server import Node, running_node

IDP = IdentityProvider()


@contextlib.asynccontextmanager
async def closing(database_url: str, fal: FalDouble) -> AsyncIterator[Node]:
    """A server that asks for keys and tokens, with a job of user-1 in the group g."""
    fal.script(JWKS_PATH, IDP.answer())
    fal.script(
        f"/{ENDPOINT}", httpx.Response(200, json={"request_id": "job-9", "response_url": "https://queue.fal.test/r"})
    )
    async with running_node(fal, database_url=database_url, **SETTINGS) as node:
        facts = {"owner": "user-1", "group": "g", "endpointId": ENDPOINT}
        done = await node.client.put("/api/fal-jobs/job-1", json=facts, headers=ADMIN)
        assert done.status_code == 201
        yield node
