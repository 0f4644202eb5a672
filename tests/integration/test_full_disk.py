"""SQLite on a full disk: /readyz, the log and the doctor say so, and that it is over."""

import asyncio
import json
import resource
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse

from support.commands import clean_environment
from support.ports import quiet_port
from support.served import Served
from support.stand import standing
from support.web import Web

pytestmark = pytest.mark.anyio
DEADLINE = 120.0
FULL_BYTES = 64 * 1024  # the database and its log are longer


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Served]:
    """A server with a database."""
    served = Served(tmp_path, {"fal_jwks_url": f"http://127.0.0.1:{quiet_port()}/"})
    try:
        await served.start()
        yield served
    finally:
        await served.kill()


async def readiness(node: Served, *, database: str) -> dict[str, Any]:
    """Wait until /readyz says this of the database."""
    web = Web()
    try:
        async with asyncio.timeout(DEADLINE):
            while True:
                found: dict[str, Any] = json.loads((await web.request(node.port, "GET", "/readyz"))[1])
                if found["checks"]["database"] == database:
                    return found
                await asyncio.sleep(0.05)
    finally:
        await web.close()


async def told(node: Served, count: int) -> list[dict[str, Any]]:
    """Wait for so many lines about the database, and return them."""
    async with asyncio.timeout(DEADLINE):
        while True:
            lines = [json.loads(line) for line in node.log.read_text().splitlines()]
            found = [line for line in lines if line["event"].startswith("database_")]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.05)


async def test_a_full_disk_is_told_once_and_so_is_its_end(node: Served) -> None:
    """Also where no webhook comes that meets it."""
    await readiness(node, database="ok")
    soft, hard = resource.prlimit(node.pid, resource.RLIMIT_FSIZE)
    # The kernel's limit of a file's size is a disk that is full for one process, without a mount of its own.
    resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (FULL_BYTES, hard))
    answer = await readiness(node, database="unavailable")
    assert answer["status"] == "unavailable"
    assert answer["reasons"]["database"] == {"code": "disk_full", "detail": "The database's disk is full."}
    resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (soft, hard))
    await readiness(node, database="ok")
    began, ended = await told(node, 2)
    assert (began["event"], began["trouble"]) == ("database_unavailable", "disk_full")
    assert ended["event"] == "database_available"


async def test_while_the_disk_is_full_fal_is_not_asked(tmp_path: Path) -> None:
    """A job that could not be stored would be charged and lost."""
    queued = {"request_id": "019f6af7-0000-7000-8000-000000000001"}
    web = Web()
    async with asyncio.timeout(DEADLINE), standing(lambda _: JSONResponse(queued)) as fal:
        settings = {"fal_queue_url": fal.url, "fal_key": "id:secret", "public_url": "https://hookcast.example"}
        node = Served(tmp_path, {**settings, "fal_jwks_url": f"{fal.url}/jwks"})

        async def submit() -> tuple[int, dict[str, Any]]:
            body = json.dumps({"endpointId": "fal-ai/flux", "input": {"prompt": "x" * 200_000}}).encode()
            status, answer = await web.request(node.port, "POST", "/api/fal-jobs", body=body)
            return status, json.loads(answer)

        try:
            await node.start()
            soft, hard = resource.prlimit(node.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (FULL_BYTES, hard))
            await readiness(node, database="unavailable")
            status, answer = await submit()
            assert (status, answer["code"]) == (503, "store_unavailable")
            assert not any("flux" in path for path in fal.paths)
            resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (soft, hard))
            await readiness(node, database="ok")
            assert (await submit())[0] == 202
            assert fal.paths.count("/fal-ai/flux") == 1
        finally:
            await web.close()
            await node.kill()


async def test_the_doctor_says_that_the_disk_is_full_and_what_is_free(node: Served, tmp_path: Path) -> None:
    await readiness(node, database="ok")
    settings = dict.fromkeys(("HOOKCAST_FAL_QUEUE_URL", "HOOKCAST_FAL_JWKS_URL"), "http://127.0.0.1:1")
    command = ("prlimit", f"--fsize={FULL_BYTES}", sys.executable, "-m", "hookcast", "doctor")
    said = await asyncio.to_thread(
        subprocess.run,
        command,
        cwd=tmp_path,
        env=clean_environment({**settings, "HOOKCAST_DATABASE_URL": "sqlite:///hookcast.db"}),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    lines = [line for line in said.stdout.splitlines() if line.split()[1] == "database"]
    assert (said.returncode, len(lines), said.stderr) == (1, 1, "")
    assert lines[0].startswith("fail")
    assert "disk is full" in lines[0]
    assert "GB free" in lines[0]
