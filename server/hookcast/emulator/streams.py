"""The status stream: server-sent events without event names and ids, as fal sends them."""

import asyncio
from collections.abc import AsyncIterator, Callable

import msgspec

from hookcast.emulator.queue import Job, Moment, Phase, next_change
from hookcast.emulator.results import status_body

COMMENT_SECONDS = 15.0
COMMENT = b": ping\n\n"


async def status_stream(
    job: Job,
    closing: Callable[[], bool],
    *,
    with_logs: bool,
    comment_seconds: float = COMMENT_SECONDS,
) -> AsyncIterator[bytes]:
    """Yield the current status, then every change with its new log lines, until COMPLETED or `closing`."""
    loop = asyncio.get_running_loop()
    sent: Moment | None = None
    last_byte = loop.time()
    while not closing():
        now = job.moment(loop.time())
        if sent is None or _differs(sent, now, with_logs=with_logs):
            skip = sent.log_lines if sent else 0
            body = status_body(job, now, with_logs=with_logs, skip_logs=skip)
            yield b"data: " + msgspec.json.encode(body) + b"\n\n"
            sent, last_byte = now, loop.time()
        elif loop.time() - last_byte >= comment_seconds:
            yield COMMENT
            last_byte = loop.time()
        if now.phase is Phase.COMPLETED:
            return
        silence = last_byte + comment_seconds - loop.time()
        await job.changed.wait(max(min(_until_change(job, loop.time()), silence), 0.0))


def _differs(old: Moment, new: Moment, *, with_logs: bool) -> bool:
    shown = (old.phase, old.queue_position) != (new.phase, new.queue_position)
    return shown or (with_logs and old.log_lines != new.log_lines)


def _until_change(job: Job, clock: float) -> float:
    elapsed = job.elapsed(clock)
    target = next_change(elapsed, job.ends)
    return 0.0 if target is None else (target - elapsed) / job.speed
