"""The status stream's frames."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from hookcast.emulator.streams import COMMENT, status_stream
from unit.emulator.making import make_job

pytestmark = pytest.mark.anyio


def _open() -> bool:
    return False


async def test_logs_hold_only_the_new_lines() -> None:
    """Each line comes once, the last status is COMPLETED, and there are no names and ids."""
    frames = [frame async for frame in status_stream(make_job(speed=200.0), _open, with_logs=True)]
    assert all(frame.startswith(b"data: {") and frame.endswith(b"}\n\n") for frame in frames)
    statuses = [msgspec.json.decode(frame[6:]) for frame in frames]
    messages = [line["message"] for status in statuses for line in status["logs"]]
    assert len(messages) == len(set(messages)) == 7
    assert statuses[-1]["status"] == "COMPLETED"


async def test_without_logs_only_changes_of_state_are_told() -> None:
    """Nobody is woken for a log line that was not asked for."""
    frames = [frame async for frame in status_stream(make_job(speed=50.0), _open, with_logs=False)]
    assert len(frames) <= 6
    assert all(b'"logs":null' in frame for frame in frames)


async def test_stream_of_an_ended_job_tells_its_end_and_closes() -> None:
    """A reconnect gets the current status, with the whole log."""
    [frame] = [frame async for frame in status_stream(make_job(ends=0.0), _open, with_logs=True)]
    assert b'"COMPLETED"' in frame


async def test_silence_is_broken_by_comments() -> None:
    """While nothing changes, a comment keeps the connection alive."""
    stream = status_stream(make_job(speed=0.01), _open, with_logs=True, comment_seconds=0.01)
    async with asyncio.timeout(60):
        frames = [await anext(stream) for _ in range(3)]
    assert frames[1:] == [COMMENT, COMMENT]


async def test_closing_emulator_ends_the_stream() -> None:
    """A stream in the middle of a silence ends when it is woken and the emulator closes."""
    job, closing = make_job(speed=0.01), asyncio.Event()
    stream = status_stream(job, closing.is_set, with_logs=True)
    await anext(stream)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        rest = group.create_task(_rest(stream))
        await asyncio.sleep(0)
        closing.set()
        job.changed.notify()
    assert rest.result() == []


async def _rest(stream: AsyncIterator[bytes]) -> list[bytes]:
    return [frame async for frame in stream]
