"""What a watch does at its deadline."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from hookcast.client import DeadlinePassed, Hookcast

pytestmark = pytest.mark.anyio
SECONDS = 0.05


async def _silence() -> AsyncIterator[bytes]:
    yield b"retry: 1500\n"
    await asyncio.Event().wait()


def client(answer: httpx.Response) -> Hookcast:
    """Return a client whose streams bring nothing, and whose requests for the job get this answer."""

    def respond(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/events"):
            return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=_silence())
        return answer

    return Hookcast("http://hookcast.test", transport=httpx.MockTransport(respond))


def state(status: str) -> httpx.Response:
    """Return a response with a job."""
    return httpx.Response(200, json={"requestId": "r", "status": status, "version": 2, "result": {"seed": 1}})


async def test_a_job_that_ended_unnoticed_is_found_by_a_last_look() -> None:
    """Its stream has died without a word, or the machine has slept."""
    async with client(state("completed")) as hookcast:
        assert await hookcast.wait("r", timeout=SECONDS) == {"seed": 1}
        assert [job.version async for job in hookcast.watch("r", timeout=SECONDS)] == [2]


@pytest.mark.parametrize(
    "answer",
    [state("pending"), httpx.Response(502), httpx.Response(200, html="<html>"), httpx.Response(404)],
    ids=["pending", "502", "a page", "404"],
)
async def test_without_an_end_the_deadline_has_passed(answer: httpx.Response) -> None:
    async with client(answer) as hookcast:
        with pytest.raises(DeadlinePassed, match="r did not end"):
            await hookcast.wait("r", timeout=SECONDS)
