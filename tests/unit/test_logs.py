"""The log's writer: nobody waits for it, and what it loses is told."""

import asyncio
import contextlib
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from hookcast.logs import Throttle, path_shown
from hookcast.writer import ROOM_BYTES, Writer

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
    pipe: tuple[int, int],
) -> None:
    """Each line comes whole and in order, and the number of those that are missing behind them."""
    reading, writing = pipe
    writer = Writer(writing, lambda count: writer.write(f"{count} dropped".encode()))
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


def test_a_signal_that_the_main_thread_holds_waits_for_it() -> None:
    """The kernel gives a process's signal to any thread that takes it, which would end the process."""
    code = """
import os, signal
from hookcast.writer import Writer
writer = Writer(1, print)
writer.start()
writer.write(b"the thread runs")
writer.flush()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
os.kill(os.getpid(), signal.SIGTERM)
assert signal.sigwait([signal.SIGTERM]) == signal.SIGTERM
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_reader_that_has_gone_is_nobodys_error(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.close(reading)
    writer = Writer(writing, print)
    writer.start()
    for _ in range(3):
        writer.write(b"x")
        writer.flush()
    writer.close()


def test_after_a_disk_was_full_the_next_line_begins_a_line_of_its_own(tmp_path: Path) -> None:
    """The limit of a file's size is a full disk: it cuts the second line."""
    log = tmp_path / "log"
    code = f"""
import os, resource
from hookcast.writer import Writer
writer = Writer(os.open({str(log)!r}, os.O_WRONLY | os.O_CREAT), print)
writer.start()
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
for line, limit in ((b"first", hard), (b"second", 10), (b"third", hard)):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    writer.write(line)
    writer.flush()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    first, cut, third, *told = log.read_text().splitlines()
    assert (first, cut, third) == ("first", "seco", "third")
    assert told == []


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise RuntimeError('crash')"])
def test_no_line_is_lost_at_an_exit_or_a_crash(end: str) -> None:
    """They stand before the crash, which is a line of its own."""
    said = "for number in range(500): logs.get_logger('x').info('line', number=number)"
    code = f"import logging, sys\nfrom hookcast import logs\nlogs.configure()\n{said}\nlogging.warning('last')\n{end}"
    lines = _lines_of(code)
    assert [line["event"] for line in lines[:500]] == ["line"] * 500
    assert (lines[500]["event"], lines[500]["logger"], lines[500]["message"]) == ("library", "root", "last")
    assert [line["event"] for line in lines[501:]] == (["crashed"] if "raise" in end else [])
    assert "RuntimeError: crash" in lines[-1].get("exception", "RuntimeError: crash")


def _lines_of(code: str) -> list[dict[str, Any]]:
    """Return the lines that a program writes to standard error, every one of them an object of JSON."""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    return [json.loads(line) for line in ended.stderr.splitlines()]


@pytest.mark.parametrize(
    ("code", "event"),
    [
        ("warnings.warn('old')", "python_warning"),
        ("threading.Thread(target=lambda: 1 / 0).start()", "thread_crashed"),
        ("class Gone:\n  def __del__(self): 1 / 0\nGone()", "exception_ignored"),
        ("asyncio.run(forgotten())", "library"),
        ("logging.error('%d', 'no number')", "library"),
        ("logging.error('\\udcff')", "library"),
    ],
)
def test_what_python_and_libraries_complain_of_is_a_line_of_the_log(code: str, event: str) -> None:
    begin = "import asyncio, logging, threading, warnings\nfrom hookcast import logs\n"
    forgotten = (
        "async def forgotten():\n  asyncio.get_running_loop().call_soon(lambda: 1 / 0)\n  await asyncio.sleep(0)\n"
    )
    (line,) = _lines_of(f"{begin}{forgotten}logs.configure()\n{code}")
    assert line["event"] == event
    assert line["level"] in {"warning", "error"}


def test_a_traceback_on_a_terminal_shows_no_variables() -> None:
    """They may be keys and tokens."""
    code = (
        "from hookcast import logs\nlogs.configure(terminal=True)\n"
        "def fail(key):\n  raise RuntimeError('here')\nfail('se' + 'cret')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert "RuntimeError: here" in ended.stderr
    assert "secret" not in ended.stderr


def test_libraries_say_nothing_at_debug_and_the_server_does() -> None:
    """Theirs may show headers and frames."""
    code = (
        "import logging\nfrom hookcast import logs\nlogs.configure(level=logs.LEVELS['debug'])\n"
        "logging.getLogger('x').debug('theirs')\nlogs.get_logger('x').debug('ours')"
    )
    assert [line["event"] for line in _lines_of(code)] == ["ours"]


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/api/fal-jobs/019f6af7-5d0c-7e52-9f6e-0d9a3c1b2e4f/events", None),
        ("/openapi.json", None),
        ("/", None),
        ("", None),
        ("/api/fal-jobs/3f9a1c77be2d40e8a6651b0c9d27f4e1", "/api/fal-jobs/…"),
        ("/api/fal-jobs/eyJhbGci", "/api/fal-jobs/…"),
        ("/abcdefghijklmnopqrstuv/x", "/…/x"),
        ("/a/b/c/d/e/f/g/h/i/j", "/a/b/c/d/e/f/g/…"),
        ("/a\nb", "/…"),
    ],
)
def test_of_a_path_only_words_and_ids_of_fal_are_shown(path: str, seen: str | None) -> None:
    assert path_shown(path) == (path if seen is None else seen)


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
