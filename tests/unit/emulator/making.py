"""Jobs for the emulator's unit tests."""

import asyncio
from collections.abc import Iterable

from msgspec import Raw

from hookcast.emulator.faults import Fault, Wishes
from hookcast.emulator.files import FileWish
from hookcast.emulator.queue import Job

WEBHOOK_URL = "http://127.0.0.1:9/api/webhooks/fal"


def make_job(
    *,
    endpoint_id: str = "fal-ai/kling-video/v2.5-turbo/pro/text-to-video",
    faults: Iterable[Fault] = (),
    seconds: float = 5.0,
    webhook_url: str | None = WEBHOOK_URL,
    speed: float = 1.0,
    request_id: str = "019f6af7-aaaa-bbbb-cccc-000000000001",
    ends: float = 8.0,
    files: Iterable[FileWish] = (),
) -> Job:
    """A job that was submitted now when an event loop runs, else at 0."""
    try:
        submitted = asyncio.get_running_loop().time()
    except RuntimeError:
        submitted = 0.0
    return Job(
        request_id=request_id,
        endpoint_id=endpoint_id,
        app_id="/".join(endpoint_id.split("/")[:2]),
        base_url="http://127.0.0.1:8787/",
        webhook_url=webhook_url,
        prompt=Raw(b'"a cat"'),
        wishes=Wishes(faults=frozenset(faults), seconds=seconds, files=tuple(files)),
        speed=speed,
        submitted=submitted,
        submitted_at=1_790_000_000.0,
        ends=ends,
    )
