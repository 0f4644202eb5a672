"""Why did a job not arrive? Each cause is caused, and `hookcast jobs show` names it."""

import asyncio
import json
import sqlite3
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest
from nacl.signing import SigningKey

from hookcast.client import Hookcast
from support import receiver
from support.access import SECRET, token
from support.commands import hookcast, on_screen
from support.fakes import Sleeper
from support.fal import FalDouble, sign
from support.keeping import PNG, ended, submit
from support.receiver import running_receiver
from support.server import DEADLINE, Node, running_node, until
from support.stand import buffering_proxy

pytestmark = pytest.mark.anyio
KEY = "an-api-key-for-the-backend-0123456789abcdef"
JOB = "/api/fal-jobs/job-1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the command runs: without settings of its own."""
    found = tmp_path / "shell"
    found.mkdir()
    return found


async def told(node: Node, folder: Path, request_id: str = "job-1", *, key: str | None = None) -> dict[str, str]:
    """Return what `hookcast jobs show` finds, by code."""
    given = {} if key is None else {"HOOKCAST_TOKEN": key}
    said = await hookcast(folder, "jobs", "show", request_id, "--url", node.url, **given)
    assert (said.code, said.err) == (0, "")
    found: dict[str, Any] = json.loads(said.out)
    return {finding["code"]: finding["message"] for finding in found["findings"]}


async def complete(node: Node) -> None:
    """Let fal's webhook complete the job."""
    assert (await node.post_webhook(node.fal.webhook("job-1"))).is_success


async def test_a_webhook_that_never_came(node: Node, folder: Path) -> None:
    """fal was asked instead."""
    await node.register("job-1", endpointId="fal-ai/flux/dev")
    node.fal.script("/requests/job-1/status", httpx.Response(200, json={"status": "COMPLETED", "logs": None}))
    node.fal.script("/requests/job-1", httpx.Response(200, json={"seed": 1}))
    assert (await node.client.post(f"{JOB}/refresh")).status_code == 202
    assert (await ended(node, "job-1"))["status"] == "completed"
    assert "HOOKCAST_PUBLIC_URL" in (await told(node, folder))["webhook_lost"]


async def test_a_webhook_that_is_late_by_the_clock(node: Node, folder: Path) -> None:
    await node.register("job-1")
    body = node.fal.webhook("job-1")
    for _ in range(2):
        await node.post_webhook(body, sign(body, node.fal.key, timestamp=time.time() - 900, request_id="job-1"))
    found = await told(node, folder)
    assert found["webhook_timestamp_out_of_range"].startswith("2 webhooks for this job were refused")
    assert "Check the clock" in found["webhook_timestamp_out_of_range"]


async def test_a_webhook_for_another_account(fal: FalDouble, database_url: str, folder: Path) -> None:
    async with running_node(fal, database_url=database_url, fal_user_id="mine") as node:
        await node.register("job-1")
        body = fal.webhook("job-1")
        await node.post_webhook(body, sign(body, fal.key, request_id="job-1", user_id="another"))
        assert "HOOKCAST_FAL_USER_ID" in (await told(node, folder))["webhook_user_mismatch"]


async def test_a_webhook_with_a_wrong_signature(node: Node, folder: Path) -> None:
    await node.register("job-1")
    await node.post_webhook(node.fal.webhook("job-1"), sign(b"", SigningKey.generate(), request_id="job-1"))
    assert "signature" in (await told(node, folder))["webhook_signature_invalid"]


async def test_a_webhook_while_the_database_was_away(fal: FalDouble, tmp_path: Path, folder: Path) -> None:
    """It could not be written then; it is once the database is back."""
    path = tmp_path / "locked.db"
    async with running_node(fal, database_url=f"sqlite:///{path}") as node:
        await node.register("job-1")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        body = fal.webhook("job-1")
        answer = await node.post_webhook(body, sign(body, fal.key, request_id="job-1"))
        assert answer.json()["code"] == "store_unavailable"
        other.execute("ROLLBACK")
        other.close()
        assert "database" in (await told(node, folder))["webhook_store_unavailable"]


async def test_a_job_that_failed_at_fal(node: Node, folder: Path) -> None:
    await node.register("job-1")
    failed = node.fal.webhook("job-1", status="ERROR", error="x", payload={"detail": "The prompt is too long"})
    await node.post_webhook(failed)
    assert "The prompt is too long" in (await told(node, folder))["fal_failed"]


async def test_a_job_that_nobody_watched(node: Node, folder: Path) -> None:
    """Asking why is not watching."""
    await node.register("job-1")
    await complete(node)
    for _ in range(2):
        assert (await told(node, folder))["never_watched"] == "No client has watched or read this job by its requestId."


async def test_a_client_that_watched_before_the_job_was_known_counts_when_it_comes_again(
    node: Node, folder: Path
) -> None:
    async with node.events("job-1"):
        await until(lambda: node.engine.hub)
    await node.services.scribe.write()
    await node.register("job-1")
    async with node.events("job-1") as stream:
        await anext(stream)
    await until(lambda: not node.engine.hub)
    await complete(node)
    assert "never_watched" not in await told(node, folder)


async def test_a_watcher_whose_token_had_expired(fal: FalDouble, database_url: str, folder: Path) -> None:
    async with running_node(fal, database_url=database_url, api_keys=KEY, token_secret=SECRET) as node:
        await node.client.put(JOB, json={}, headers={"Authorization": f"Bearer {KEY}"})
        late = token(expires_in=-600, jobs=["job-1"])
        assert (await node.client.get(f"{JOB}/events", params={"token": late})).status_code == 401
        assert "getToken" in (await told(node, folder, key=KEY))["watch_token_expired"]


async def test_a_stream_that_a_proxy_holds_back(node: Node, folder: Path) -> None:
    """The client falls back to long polling, which the journal shows."""
    await node.register("job-1")
    async with (
        buffering_proxy(int(node.url.rpartition(":")[2])) as url,
        Hookcast(url, sleep=Sleeper(free=True), heartbeat=0.2, timeout=30.0) as client,
        aclosing(client.watch("job-1")) as states,
    ):
        assert (await anext(states)).version == 1
        coming = asyncio.ensure_future(anext(states))
        await until(lambda: node.engine.hub)
        await complete(node)
        assert (await coming).ended
    assert "proxy" in (await told(node, folder))["fell_back"]


async def test_a_page_of_an_origin_that_is_not_allowed(fal: FalDouble, database_url: str, folder: Path) -> None:
    """Its browser keeps the answer from it."""
    async with running_node(fal, database_url=database_url, api_keys=KEY, token_secret=SECRET) as node:
        await node.client.put(JOB, json={}, headers={"Authorization": f"Bearer {KEY}"})
        query = {"token": token(jobs=["job-1"])}
        await node.client.get(JOB, params=query, headers={"Origin": "https://other.example"})
        found = (await told(node, folder, key=KEY))["watch_origin_not_allowed"]
        assert "https://other.example" in found
        assert "HOOKCAST_ALLOWED_ORIGINS" in found


async def test_a_backend_that_fails(fal: FalDouble, database_url: str, folder: Path) -> None:
    """With the status, and when it is told again."""
    async with running_receiver() as backend:
        backend.script.append((500, {"Retry-After": "3600"}))  # the next attempt is not during the test
        given = {"forward_url": f"{backend.url}/hook", "forward_secret": receiver.SECRET}
        async with running_node(fal, database_url=database_url, **given) as node:
            await complete(node)
            async with asyncio.timeout(DEADLINE):
                while b"backend_failed" not in (await node.client.get(f"{JOB}/journal")).content:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            found = (await told(node, folder))["backend_failed"]
    assert found.startswith("Your backend answered 500 to job.completed in 1 attempt; the next attempt is at 20")


async def test_a_file_that_was_not_kept(keeping: Node, folder: Path) -> None:
    request_id = await submit(keeping, {"content_type": PNG, "fault": "web_page"})
    await ended(keeping, request_id)
    assert (await told(keeping, folder, request_id))["file_not_kept"].startswith("File 1 was not kept")


async def test_a_token_that_does_not_show_the_job(fal: FalDouble, database_url: str, folder: Path) -> None:
    async with running_node(fal, database_url=database_url, api_keys=KEY, token_secret=SECRET) as node:
        await node.client.put(JOB, json={"owner": "user-1"}, headers={"Authorization": f"Bearer {KEY}"})
        other = token(sub="user-2")
        assert (await node.client.get(f"{JOB}/events", params={"token": other})).status_code == 404
        assert (await node.client.get(JOB, params={"token": other})).status_code == 404
        await node.client.post("/api/webhooks/fal", content=(body := fal.webhook("job-1")), headers=sign(body, fal.key))
        found = await told(node, folder, key=KEY)
        assert "does not show this job" in found["watch_job_not_found"]
        assert "never_watched" in found  # a client that got 404 has not read it


async def test_a_job_that_arrived_says_to_how_many_streams(node: Node, folder: Path) -> None:
    await node.register("job-1")
    async with node.events("job-1") as one, node.events("job-1") as two:
        await anext(one)
        await anext(two)
        await complete(node)
        assert (await told(node, folder))["pushed"] == "The end was pushed to 2 streams."


async def test_on_a_terminal_the_journal_is_a_table(node: Node, folder: Path) -> None:
    """Each line with its time, the pause before it, and what it was."""
    await node.register("job-1")
    await complete(node)
    screen = await on_screen(folder, "jobs", "show", "job-1", "--url", node.url)
    try:
        assert await screen.code() == 0
    finally:
        await screen.close()
    for words in ("job-1", "registered", "webhook", "answer=accepted", "ended", "No client has watched"):
        assert words in screen.text
