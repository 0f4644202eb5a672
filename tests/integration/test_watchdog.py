"""The watchdog of the tests: a pytest process that can run no bytecode ends all the same, and says where it was."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parents[1]
STUCK = """
import ctypes, subprocess

def test_before():
    pass

def test_stuck():
    {before}
    libc, mutex = ctypes.PyDLL(None), ctypes.create_string_buffer(64)
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)  # for ever, and holding the interpreter's lock: no thread runs bytecode

def test_after():
    pass
"""
LINGERING = """
import ctypes, threading

def linger():
    threading.main_thread().join()  # returns when the interpreter shuts down
    ctypes.PyDLL(None).pause()

def test_that_leaves_a_thread():
    threading.Thread(target=linger).start()
"""


def run(folder: Path, source: str, *arguments: str, grace: float = 10) -> subprocess.CompletedProcess[str]:
    """Run a file of tests in a pytest of its own, whose timeout is a second and whose watchdog waits `grace` more."""
    (folder / "test_it.py").write_text(source)
    plugins = ("-p", "support.watchdog", "-p", "no:cacheprovider", "-p", "no:randomly")
    return subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "-o", "timeout=1", *arguments, "test_it.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(SUPPORT), "WATCHDOG_GRACE_SECONDS": str(grace)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,  # a watchdog, or what a test started, that stays would keep the pipe open until then
        check=False,
    )


def test_a_stuck_process_is_killed_with_its_stack_and_the_name_of_its_test(tmp_path: Path) -> None:
    """Neither a signal handler nor a thread of its own could do that."""
    done = run(tmp_path, STUCK.format(before=""))
    assert done.returncode != 0
    assert "was silent for 11 s: test_it.py::test_stuck" in done.stdout
    assert 'test_it.py", line 11 in test_stuck' in done.stdout


def test_a_process_that_blocks_signals_is_killed(tmp_path: Path) -> None:
    """Without a stack, since nobody can have it then."""
    block = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())"
    done = run(tmp_path, STUCK.format(before=block))
    assert done.returncode == -9
    assert "test_it.py::test_stuck" in done.stdout


def test_the_other_tests_of_a_stuck_worker_run(tmp_path: Path) -> None:
    """A new worker takes them, and the run fails with the name of the test."""
    done = run(tmp_path, STUCK.format(before=""), "-n", "1")
    assert done.returncode == 1
    assert "crashed while running 'test_it.py::test_stuck'" in done.stdout
    assert "1 failed, 2 passed" in done.stdout


def test_what_a_stuck_test_started_ends_with_it(tmp_path: Path) -> None:
    """A database that lives on holds the pipe of whoever reads the output."""
    done = run(tmp_path, STUCK.format(before="subprocess.Popen(['sleep', '1000'])"))
    assert "test_it.py::test_stuck" in done.stdout


def test_a_process_that_does_not_end_is_killed(tmp_path: Path) -> None:
    """After its last test, for instance while it waits for a thread."""
    done = run(tmp_path, LINGERING)
    assert "1 passed" in done.stdout
    assert "was silent for 10 s: the end of the session" in done.stdout
    assert done.returncode != 0


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["alone", "workers"])
def test_others_do_not_notice_it(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """It says nothing, and ends with them."""
    done = run(tmp_path, "def test_fine(): pass", *arguments, grace=120)
    assert done.returncode == 0
    assert "watchdog" not in done.stdout
