"""The log's writer: nobody waits for it, and what it loses is told."""

import asyncio
import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import structlog
from structlog.testing import capture_logs

from hookcast import logs
from hookcast.logs import ROOM_BYTES, Throttle, Writer

LINES = 3 * ROOM_BYTES // 1000


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe of one page."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    yield reading, writing
    with contextlib.suppress(OSError):
        os.close(reading)
    os.close(writing)


def test_a_pipe_that_nobody_reads_takes_what_it_can_and_the_rest_is_counted(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line comes whole and in order, and the number of those that are missing behind them."""
    reading, writing = pipe
    writer = Writer(writing)
    monkeypatch.setattr(logs, "get_logger", lambda _: structlog.wrap_logger(_Told(writer.write), processors=[_count]))
    writer.start()
    for number in range(LINES):
        writer.write(f"{number}".ljust(999).encode())
    seen = b""
    while not seen.endswith(b"dropped\n"):
        seen += os.read(reading, 65536)
    *kept, told = seen.splitlines()
    assert [int(line) for line in kept] == list(range(len(kept)))
    assert int(told.split()[0]) == LINES - len(kept) > 0
    writer.close()


class _Told:
    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.warning = write


def _count(_logger: object, _method: str, record: structlog.typing.EventDict) -> bytes:
    return f"{record['count']} dropped".encode()


def test_a_reader_that_has_gone_is_nobodys_error(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.close(reading)
    writer = Writer(writing)
    writer.start()
    for _ in range(3):
        writer.write(b"x")
        writer.flush()
    writer.close()


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise RuntimeError('crash')"])
def test_no_line_is_lost_at_an_exit_or_a_crash(end: str) -> None:
    """They stand before the traceback."""
    said = "for number in range(500): logs.get_logger('x').info('line', number=number)"
    code = f"import logging, sys\nfrom hookcast import logs\nlogs.configure()\n{said}\nlogging.warning('last')\n{end}"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    lines = ended.stderr.splitlines()
    assert sum('"event":"line"' in line for line in lines[:500]) == 500
    assert '"event":"last"' in lines[500]
    assert len(lines) == 501 or (lines[501].startswith("Traceback") and lines[-1] == "RuntimeError: crash")


@pytest.mark.anyio
async def test_a_flood_is_a_few_lines_and_a_number() -> None:
    throttle = Throttle(lines=2, seconds=0.01)
    with capture_logs() as told:
        for number in range(10):
            throttle.warning("refused", number=number)
        async with asyncio.timeout(60):
            while len(told) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        throttle.warning("refused", number=10)
    assert [(line.get("number"), line.get("suppressed")) for line in told] == [
        (0, None),
        (1, None),
        (None, 8),
        (10, None),
    ]
