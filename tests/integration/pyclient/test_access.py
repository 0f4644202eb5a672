"""The client of a server that asks for keys and tokens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import httpx
import pytest

from hookcast.client import AccessRefused, Hookcast, NotFound
from support.access import API_KEY, SECRET, token
from support.fal import ENDPOINT, FalDouble
from support.server import Node, running_node, until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def guarded(database_url: str, fal: FalDouble) -> AsyncIterator[Node]:
    """A server with a key and a secret, whose fal takes one job."""
    fal.script(f"/{ENDPOINT}", httpx.Response(200, json={"request_id": "job-1"}))
    async with running_node(fal, database_url=database_url, api_keys=API_KEY, token_secret=SECRET) as node:
        yield node


async def test_the_token_of_a_submit_shows_its_job_and_no_more(guarded: Node) -> None:
    """The key submits, the token watches."""
    async with Hookcast(guarded.url, token=API_KEY) as backend:
        taken = await backend.submit(ENDPOINT, {})
    assert taken.expires_at is not None
    async with Hookcast(guarded.url, token=taken.token) as browser:
        waiting = asyncio.ensure_future(browser.wait("job-1"))
        await until(lambda: guarded.engine.admission.streams)
        await guarded.post_webhook(guarded.fal.webhook("job-1", payload=[1]))
        assert await waiting == [1]
        with pytest.raises(NotFound):
            await browser.get("job-2")
        with pytest.raises(AccessRefused) as refused:
            await browser.submit(ENDPOINT, {})
    assert refused.value.status in {401, 403}


@pytest.mark.parametrize(
    "wrong", [None, "another-key", token(expires_in=-100, jobs=["job-1"])], ids=["no", "key", "old"]
)
async def test_who_may_not_watch_is_told_so(guarded: Node, wrong: str | None) -> None:
    """At once, with a code."""
    async with Hookcast(guarded.url, token=wrong) as client:
        with pytest.raises(AccessRefused) as refused:
            await client.wait("job-1")
    assert refused.value.status == 401
    assert refused.value.code in {"unauthorized", "token_invalid", "token_expired"}


async def test_a_token_that_runs_out_in_the_middle_of_a_watch_is_replaced(guarded: Node) -> None:
    """The server warns 30 s before; the function is asked once more, and the watch goes on with the new token."""
    tokens = [token(expires_in=600, groups=["g"]), token(expires_in=25, groups=["g"])]

    async def ask() -> str:
        return tokens.pop()

    key = {"Authorization": f"Bearer {API_KEY}"}
    await guarded.client.put("/api/fal-jobs/job-1", json={"group": "g"}, headers=key)
    async with Hookcast(guarded.url, token=ask) as client, aclosing(client.watch("job-1")) as states:
        assert (await anext(states)).version == 1
        coming = asyncio.ensure_future(anext(states))
        await until(lambda: not tokens and guarded.engine.admission.streams)
        await guarded.post_webhook(guarded.fal.webhook("job-1"))
        assert (await coming).ended
