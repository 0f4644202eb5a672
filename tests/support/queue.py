"""A queue client on a clock of its own, against answers that a test gives."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import httpx
from msgspec import Raw

from hookcast.fal.answers import Submitted
from hookcast.fal.calls import DEADLINES, Call
from hookcast.fal.queue import FalQueue
from hookcast.jobs import Job, Progress
from hookcast.loglines import LogLine
from support.fal import ENDPOINT, QUEUE, Answer, FalDouble

NOW = datetime(2026, 11, 23, tzinfo=UTC)


class Harness:
    """A queue client of the double, which notes its pauses and makes none."""

    def __init__(self, deadline: float = 30.0) -> None:
        self.fal = FalDouble()
        self.pauses: list[float] = []
        self.client = httpx.AsyncClient(transport=self.fal)
        self.queue = FalQueue(
            self.client,
            QUEUE,
            "key",
            sleep=self._sleep,
            jitter=lambda: 1.0,
            deadlines=dict.fromkeys(DEADLINES, deadline),
        )

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def ask(self, call: Call, *answers: Answer) -> object:
        """Make one call; fal answers so."""
        self.fal.script("", *answers)
        asked: dict[Call, Callable[[], Awaitable[object]]] = {
            Call.SUBMIT: self.submit,
            Call.STATUS: lambda: self.queue.status(job()),
            Call.RESULT: lambda: self.queue.result(job()),
            Call.CANCEL: lambda: self.queue.cancel(job()),
        }
        async with self.client:
            return await asked[call]()

    async def submit(self) -> Submitted:
        """Submit an empty input."""
        return await self.queue.submit(ENDPOINT, Raw(b"{}"), webhook_url=None, headers={})


def job(endpoint_id: str | None = ENDPOINT, logs: tuple[LogLine, ...] = ()) -> Job:
    """A pending job."""
    progress = Progress(logs=logs)
    return Job(request_id="job-1", created_at=NOW, updated_at=NOW, endpoint_id=endpoint_id, progress=progress)


class Endless(httpx.AsyncByteStream):
    """A body without end."""

    def __init__(self) -> None:
        self.read = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """More and more."""
        while True:
            self.read += 1000
            yield b"x" * 1000
