"""What the queue client reads of a status, at once or as a stream."""

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from hookcast.errors import FalRejected, FalUnreachable
from hookcast.fal.answers import Status
from hookcast.fal.calls import MAX_ANSWER_BYTES
from hookcast.fal.queue import FalQueue
from hookcast.jobs import Phase, Progressed
from hookcast.loglines import LogLine
from support.fal import QUEUE, sse_answer
from support.queue import Endless, Harness, job

pytestmark = pytest.mark.anyio


def lines(*messages: str) -> dict[str, object]:
    """A running status with these log lines."""
    return {"status": "IN_PROGRESS", "logs": [{"message": message} for message in messages]}


async def test_status_and_stream_are_read_alike() -> None:
    """Phase, position and log lines."""
    harness = Harness()
    status = {"status": "IN_QUEUE", "queue_position": 3, "logs": [{"message": None}, {"message": "50%", "extra": 1}]}
    harness.fal.script("/status/stream", sse_answer(status))
    harness.fal.script("/status", httpx.Response(200, json=status))
    async with harness.client:
        polled = await harness.queue.status(job())
        async with harness.queue.follow(job()) as reports:
            assert [report async for report in reports] == [polled]
    assert polled.progress == Progressed(phase=Phase.QUEUED, queue_position=3, logs=(LogLine(message="50%"),))


async def test_a_stream_continues_the_jobs_log() -> None:
    """Its first event shows what is known already, the others only new lines; equal lines are two."""
    harness = Harness()
    harness.fal.script("/status/stream", sse_answer(*(lines(*each) for each in (["a", "b"], ["b"], ["c"]))))
    told = job(logs=(LogLine(message="a"),))
    async with harness.client, harness.queue.follow(told) as reports:
        logs = [[line.message for line in report.progress.logs] async for report in reports]
    assert logs == [["a", "b"], ["a", "b", "b"], ["a", "b", "b", "c"]]


async def test_a_status_whose_log_is_too_large_is_read_without_it() -> None:
    """A job with a long log is followed, and its lost webhook recovered, all the same."""

    def answer(request: httpx.Request) -> httpx.Response:
        logs = [{"message": "x" * MAX_ANSWER_BYTES}] if request.url.params["logs"] == "1" else None
        return httpx.Response(200, json={"status": "COMPLETED", "logs": logs})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        assert (await FalQueue(client, QUEUE, "key").status(job())).finished


async def test_what_is_no_event_stream_is_refused() -> None:
    harness = Harness()
    harness.fal.script("/status/stream", httpx.Response(200, json={"status": "IN_QUEUE"}))
    async with harness.client:
        with pytest.raises(FalRejected, match="not an event stream"):
            async with harness.queue.follow(job()) as reports:
                await anext(reports)


async def test_an_endless_event_breaks_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it fills the memory; many events do not."""
    monkeypatch.setattr("hookcast.fal.queue.MAX_ANSWER_BYTES", 5000)
    event = b'data: {"status": "IN_QUEUE"}\n\n'

    class Events(Endless):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for _ in range(500):
                yield event
            async for chunk in super().__aiter__():
                yield chunk

    body, headers = Events(), {"content-type": "text/event-stream"}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, stream=body))
    async with httpx.AsyncClient(transport=transport) as client:
        told: list[Status] = []
        with pytest.raises(FalUnreachable, match="too large"):
            await read(FalQueue(client, QUEUE, "key"), told.append)
    assert (len(told), body.read <= 6000) == (500, True)


async def read(queue: FalQueue, tell: Callable[[Status], None]) -> None:
    """Read a status stream to its end."""
    async with queue.follow(job()) as reports:
        async for report in reports:
            tell(report)


async def test_a_status_stream_that_goes_silent_is_broken() -> None:
    """httpx's read timeout is told as fal being away."""
    harness = Harness()
    harness.fal.script("/status/stream", httpx.ReadTimeout("silent"))
    with pytest.raises(FalUnreachable):
        async with asyncio.timeout(60), harness.queue.follow(job()) as reports:
            await anext(reports)
    await harness.client.aclose()
