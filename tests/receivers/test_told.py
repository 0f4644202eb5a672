"""The receivers of docs/backend.md hear from Hookcast itself of a job that the emulated fal has ended."""

import asyncio
import uuid
from pathlib import Path

import pytest

from hookcast.consequences import Kind
from support.backends import BACKENDS, SECRET
from support.emulated import emulated_fal
from support.fal import ENDPOINT, FalDouble
from support.keeping import ended
from support.postgres import Postgres
from support.server import DEADLINE, Node, running_node
from support.signing import OTHER_SECRET

pytestmark = pytest.mark.anyio
CREDIT = 10


async def _delivered(node: Node) -> int:
    """Wait until there is nothing left to tell; return how many attempts have succeeded so far."""
    async with asyncio.timeout(DEADLINE):
        while await node.services.store.work.waiting(Kind.TELL):  # noqa: ASYNC110 - a database has no event
            await asyncio.sleep(0.01)
    metrics = (await node.client.get("/metrics")).text
    (line,) = [line for line in metrics.splitlines() if line.startswith('hookcast_told_total{answer="delivered"}')]
    return round(float(line.rpartition(" ")[2]))


@pytest.mark.parametrize("name", BACKENDS)
async def test_a_job_is_charged_once_however_often_it_is_told(
    name: str, tmp_path: Path, postgres: Postgres, database_url: str
) -> None:
    """While the secret is being changed."""
    owner, folder = str(uuid.uuid4()), tmp_path / "backend"
    folder.mkdir()
    async with BACKENDS[name](folder, postgres) as backend, emulated_fal(speed=100) as fal:
        await backend.accounts.open(owner, CREDIT)
        told = {"forward_url": backend.url, "forward_secret": f"{OTHER_SECRET},{SECRET}"}
        async with running_node(FalDouble(), emulator=fal, database_url=database_url, **told) as node:
            job = {"endpointId": ENDPOINT, "input": {"prompt": "a cat"}, "owner": owner}
            request_id = (await node.client.post("/api/fal-jobs", json=job)).raise_for_status().json()["requestId"]
            assert (await ended(node, request_id))["status"] == "completed"
            assert await _delivered(node) == 1
            assert await backend.accounts.credit(owner) == CREDIT - 1
            (await node.client.post(f"/api/fal-jobs/{request_id}/redeliver")).raise_for_status()
            assert await _delivered(node) == 2
            assert await backend.accounts.credit(owner) == CREDIT - 1
