"""Servers that keep files of the emulator's results in a directory."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from support.fal import ENDPOINT, FalDouble
from support.server import DEADLINE, Node, running_node

MP4, PNG = "video/mp4", "image/png"


@asynccontextmanager
async def keeper(fal_url: str, database_url: str, folder: Path, **settings: Any) -> AsyncIterator[Node]:
    """Run a server that keeps files below the folder."""
    given = {"database_url": database_url, "media_url": f"file://{folder}/media", **settings}
    async with running_node(FalDouble(), emulator=fal_url, **given) as node:
        yield node


async def submit(node: Node, *files: dict[str, Any], faults: Sequence[str] = (), **members: Any) -> str:
    """Submit a job whose result has these files; return its requestId."""
    wishes = {"files": files, "faults": faults}
    body = {"endpointId": ENDPOINT, "input": {"prompt": "x", "_emulator": wishes}, **members}
    answer = await node.client.post("/api/fal-jobs", json=body)
    found: str = answer.raise_for_status().json()["requestId"]
    return found


async def ended(node: Node, request_id: str) -> dict[str, Any]:
    """Wait for the job's end; return its state."""
    async with asyncio.timeout(DEADLINE):
        while True:
            state = (await node.client.get(f"/api/fal-jobs/{request_id}?wait=30")).json()
            if state["status"] != "pending":
                return dict(state)
            await node.client.get(f"/api/fal-jobs/{request_id}?wait=30&version={state['version']}")


def links(result: object) -> list[str]:
    """All values of members called `url`, in order."""
    if isinstance(result, dict):
        own = [value for name, value in result.items() if name == "url"]
        return own + [link for value in result.values() for link in links(value)]
    return [link for value in result for link in links(value)] if isinstance(result, list) else []
