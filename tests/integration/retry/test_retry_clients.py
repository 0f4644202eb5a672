"""Retries by the Python client and by the command line."""

import json
from pathlib import Path

import httpx
import pytest

from hookcast.client import ClientError, Hookcast, NotFound, Refused
from support.access import API_KEY, token
from support.commands import hookcast, on_screen
from support.fal import ENDPOINT
from support.retries import NumberingFal, end
from support.server import Node

pytestmark = pytest.mark.anyio


async def test_the_python_client_retries(kept: Node, fal: NumberingFal) -> None:
    """As the owner, with and without a key."""
    async with Hookcast(kept.url, token=token(sub="user-1")) as client:
        made = await client.retry("job-1")
        assert (made.request_id, made.job.retry_of, made.job.owner) == ("job-2", "job-1", "user-1")
        assert (await client.retry("job-1")).request_id == "job-2"
        assert (await client.retry("job-1", idempotency_key="k")).request_id == "job-3"
        with pytest.raises(Refused) as refused:
            await client.retry("job-2")
        assert refused.value.code == "not_terminal"
        with pytest.raises(NotFound):
            await client.retry("job-9")
        await end(kept, "job-2")
        await end(kept, "job-3")
        fal.script(f"/{ENDPOINT}", httpx.ReadError("cut"), httpx.Response(404))
        for code in ("fal_unreachable", "submit_outcome_unknown"):
            with pytest.raises(ClientError) as failed:
                await client.retry("job-2", idempotency_key="dark")
            assert failed.value.code == code
        assert (await client.retry("job-2", idempotency_key="dark", again=True)).request_id == "job-4"
    assert len(fal.submits) == 5


async def test_the_command_line_retries(kept: Node, tmp_path: Path) -> None:
    """JSON in a pipe, a line for each on a terminal; the exit code says whether one failed."""
    given = {"HOOKCAST_TOKEN": API_KEY}
    said = await hookcast(tmp_path, "jobs", "retry", "job-1", "--url", kept.url, **given)
    assert (said.code, json.loads(said.out)["retryOf"]) == (0, "job-1")
    said = await hookcast(tmp_path, "jobs", "retry", "job-2", "--url", kept.url, **given)
    assert (said.code, "has ended" in said.err) == (1, True)
    screen = await on_screen(tmp_path, "jobs", "retry", "job-1", "--url", kept.url, **given)
    try:
        assert await screen.code() == 0
    finally:
        await screen.close()
    assert "job-1  submitted again as job-2: pending" in screen.text
