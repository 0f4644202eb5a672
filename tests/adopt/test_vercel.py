"""docs/adopt/vercel.md: a job that another program submits and registers, in both orders."""

import asyncio
import shutil
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hookcast.client import Hookcast
from support.access import ADMIN, API_KEY
from support.adopting import backend_environment
from support.backends import DEADLINE, PACKAGES
from support.commands import clean_environment
from support.emulated import emulated_fal
from support.fal import ENDPOINT, FalDouble
from support.readmes import write_files
from support.server import Node, running_node

pytestmark = pytest.mark.anyio
PAGE = "docs/adopt/vercel.md"
VIDEO = "fal-ai/kling-video/v2.5-turbo/pro/text-to-video"
HARNESS = Path(__file__).parent / "submit_elsewhere.mjs"
FACTS = {"endpointId": ENDPOINT, "owner": "user-1"}


async def submit_elsewhere(folder: Path, hookcast: str, emulator: str) -> str:
    """Run the function of the page, and return its requestId."""
    write_files(folder, PAGE, "## Submit yourself")
    (folder / "node_modules").symlink_to(PACKAGES)
    (folder / "package.json").write_text("{}")
    script = shutil.copy(HARNESS, folder)
    deno = (PACKAGES / ".bin/deno", "run", "--quiet", "--cached-only", "--node-modules-dir=manual")
    process = await create_subprocess_exec(
        *(*deno, "--allow-env", "--allow-read", "--allow-net=127.0.0.1", "--allow-sys"),
        *(script, str(folder / "lib/generate.ts"), emulator, "a lighthouse", "user-1"),
        cwd=folder,
        env=clean_environment({"FAL_KEY": "any"}) | dict(backend_environment(hookcast)),
        stdout=PIPE,
        stderr=PIPE,
    )
    async with asyncio.timeout(DEADLINE):
        out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return out.decode().strip()


async def test_what_it_submits_is_followed_and_ends_for_its_user(tmp_path: Path) -> None:
    async with emulated_fal(speed=10) as emulator:
        settings = {"database_url": f"sqlite:///{tmp_path / 'hookcast.db'}", "api_keys": API_KEY}
        async with running_node(FalDouble(), emulator=emulator, **settings) as node:
            request_id = await submit_elsewhere(tmp_path / "app", node.url, emulator)
            async with Hookcast(node.url, token=API_KEY) as client:
                job = [job async for job in client.watch(request_id, timeout=DEADLINE)][-1]
    assert (job.status, job.owner, job.endpoint_id) == ("completed", "user-1", VIDEO)


@pytest.fixture
async def hookcast(tmp_path: Path) -> AsyncIterator[Node]:
    """A Hookcast whose fal is the test."""
    settings = {"database_url": f"sqlite:///{tmp_path / 'hookcast.db'}", "api_keys": API_KEY}
    async with running_node(FalDouble(), **settings) as node:
        yield node


async def put(node: Node, **facts: str) -> tuple[int, Any]:
    """Register job-1."""
    answer = await node.client.put("/api/fal-jobs/job-1", json=facts, headers=ADMIN)
    return answer.status_code, answer.json()


async def test_a_webhook_before_the_registration_is_not_lost(hookcast: Node) -> None:
    assert (await hookcast.post_webhook(hookcast.fal.webhook("job-1"))).status_code == 200
    status, job = await put(hookcast, **FACTS)
    assert status == 200
    assert (job["status"], job["owner"], job["endpointId"]) == ("completed", "user-1", ENDPOINT)
    assert job["result"] is not None


async def test_a_registration_may_be_repeated_and_keeps_its_owner(hookcast: Node) -> None:
    assert (await put(hookcast, **FACTS))[0] == 201
    status, job = await put(hookcast, **FACTS | {"owner": "user-2"})
    assert (status, job["owner"]) == (200, "user-1")


async def test_without_a_registration_an_api_key_sees_the_outcome(hookcast: Node) -> None:
    await hookcast.post_webhook(hookcast.fal.webhook("job-1"))
    job = (await hookcast.client.get("/api/fal-jobs/job-1", headers=ADMIN)).json()
    assert (job["status"], job["owner"]) == ("completed", None)
