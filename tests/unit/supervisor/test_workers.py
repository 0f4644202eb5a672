"""When a worker that died is started again."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, repeat
from typing import Any

import pytest

from hookcast.supervisor import workers
from hookcast.supervisor.log import Log
from hookcast.supervisor.workers import MIN_LIFE_SECONDS, Workers

Lines = list[dict[str, Any]]


class Recorded(Log):
    """A log that keeps its lines."""

    def __init__(self) -> None:
        self.lines: Lines = []

    def info(self, event: str, **fields: str | int) -> None:
        """Keep a line."""
        self.lines.append({"event": event, **fields})

    error = info


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """The signals are pytest's again afterwards."""
    found = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield
    for name, handler in found.items():
        signal.signal(name, handler)


@pytest.fixture(autouse=True)
def idle_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """They do nothing, until SIGTERM."""
    monkeypatch.setattr(workers, "command", lambda _: ["sleep", "60"])


class Time:
    """A clock that the parent's own pauses move; at each pause the test goes one step on."""

    def __init__(self) -> None:
        self.now = 100.0
        self.steps: Iterator[None] = iter(())

    def sleep(self, seconds: float) -> None:
        """Pause."""
        self.now += seconds
        next(self.steps)


def kill(pid: int) -> None:
    """SIGKILL, and it is dead."""
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def pids(lines: Lines, event: str) -> list[int]:
    """Of what was logged, in order."""
    return [int(line["pid"]) for line in lines if line["event"] == event]


def test_a_worker_that_dies_young_is_started_later_and_the_others_do_not_wait_for_it() -> None:
    """One that had lived for a while is started again at once; after a signal none is."""
    time = Time()
    began = time.now

    def steps(lines: Lines) -> Iterator[None]:
        first, second = pids(lines, "worker_started")
        kill(first)
        yield
        kill(second)
        yield
        yield
        assert pids(lines, "worker_died") == [first, second]
        assert len(pids(lines, "worker_started")) == 2
        while time.now < began + MIN_LIFE_SECONDS:
            yield
        yield
        *_, third, fourth = pids(lines, "worker_started")
        assert len({first, second, third, fourth}) == 4
        time.now += MIN_LIFE_SECONDS
        kill(third)
        yield
        *_, fifth = pids(lines, "worker_started")
        assert fifth != fourth
        os.kill(os.getpid(), signal.SIGTERM)
        for pid in (fourth, fifth):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        yield

    log = Recorded()
    with socket.socket() as listener:
        time.steps = steps(log.lines)
        Workers(listener.fileno(), 2, log, clock=lambda: time.now, sleep=time.sleep).run()
    assert len(pids(log.lines, "worker_died")) == 3


def test_when_every_worker_has_refused_to_start_so_does_the_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that serves keeps the parent up, whatever the others say."""
    time = Time()
    commands = chain([["sleep", "60"]], repeat(["sh", "-c", "exit 2"]))
    monkeypatch.setattr(workers, "command", lambda _: next(commands))

    def steps(lines: Lines) -> Iterator[None]:
        serves, refuses = pids(lines, "worker_started")
        for _ in range(2):
            os.waitid(os.P_PID, refuses, os.WEXITED | os.WNOWAIT)
            yield
            time.now += MIN_LIFE_SECONDS
            yield
            *_, refuses = pids(lines, "worker_started")
        kill(serves)
        while True:
            for pid in pids(lines, "worker_started")[-2:]:
                with suppress(ChildProcessError):  # the parent has noticed its end
                    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            time.now += MIN_LIFE_SECONDS
            yield

    log = Recorded()
    with socket.socket() as listener:
        time.steps = steps(log.lines)
        parent = Workers(listener.fileno(), 2, log, clock=lambda: time.now, sleep=time.sleep)
        with pytest.raises(SystemExit) as exited:
            parent.run()
    assert exited.value.code == 2
