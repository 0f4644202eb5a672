"""The ports of the tests' servers."""

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from support import ports

OTHER = "from support.ports import quiet_port; print(*(quiet_port() for _ in range(20)), flush=True); input()"
TESTS = Path(__file__).parents[1]


def test_a_port_is_given_to_one_process_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while nobody listens on it; when the process has ended, others may have it."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", OTHER], stdin=pipe, stdout=pipe, text=True, cwd=TESTS) as other:
        assert other.stdout is not None
        theirs = [int(port) for port in other.stdout.readline().split()]
        monkeypatch.setattr(ports, "_next", itertools.count(theirs[0] - ports.LOWEST))
        assert ports.quiet_port() not in theirs
        other.communicate("\n")
    monkeypatch.setattr(ports, "_next", itertools.count(theirs[0] - ports.LOWEST))
    assert ports.quiet_port() in theirs
