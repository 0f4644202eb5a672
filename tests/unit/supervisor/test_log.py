"""The parent's log beside that of the server: the same lines, byte for byte."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping

import pytest

EVENTS = """
log.info("worker_started", pid=12)
log.error("worker_died", pid=12, code=-9)
log.warning("metrics_of_each_worker_alone", reason="[Errno 30] No place: '/tmp/\u00e9'")
log.warning("metrics_of_each_worker_alone", reason="plain")
log.warning("log_lines_dropped", count=3)
def crash():
    raise KeyError("no such thing")
crash()
"""
SERVERS = "from hookcast import logs; logs.configure(level=logs.LEVELS[{level!r}]); log = logs.get_logger('x')"
PARENTS = "import sys; from hookcast.supervisor.log import Log; log = Log({level!r}); sys.excepthook = log.crashed"
TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def written(code: str, *, terminal: bool, environment: Mapping[str, str]) -> bytes:
    """Return what a program writes to standard error, without the times."""
    kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    reading, writing = pty.openpty() if terminal else os.pipe()
    with subprocess.Popen([sys.executable, "-c", code], stderr=writing, env={**kept, **environment}) as process:
        os.close(writing)
        found = b""
        while data := _read(reading):
            found += data
        process.wait(timeout=120)
    os.close(reading)
    return TIME.sub(b"TIME", found)


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except OSError:  # Linux raises EIO once nobody holds the terminal
        return b""


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
@pytest.mark.parametrize(
    ("terminal", "environment"), [(False, {}), (True, {}), (True, {"NO_COLOR": "1"})], ids=["pipe", "colours", "plain"]
)
def test_the_parent_writes_what_the_server_would(level: str, terminal: bool, environment: dict[str, str]) -> None:
    """On each level, with and without a terminal; a crash as well."""
    theirs, ours = (
        written(begin.format(level=level) + EVENTS, terminal=terminal, environment=environment)
        for begin in (SERVERS, PARENTS)
    )
    assert ours == theirs
    assert ours.count(b"TIME") == {"debug": 6, "info": 6, "warning": 5, "error": 2}[level]
    assert (b"\x1b[" in ours) == (terminal and not environment)
