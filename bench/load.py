"""Runs the load generator (`load.c`) against a server and parses its output."""

import contextlib
import json
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.catalog import TOOLS
from bench.process import LOAD_CORE, BenchError, Server, end

Figures = dict[str, float]
LOOK_SECONDS = 0.25


class Load:
    """A running load generator. With `--hold` it waits for `go_on` after each phase."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def phase(self, name: str, meanwhile: Callable[[], object] = lambda: None) -> Figures:
        """Return the figures of the next phase, which must be `name`; call `meanwhile` every 0.25 s until then."""
        assert self._process.stdout is not None
        while not select.select([self._process.stdout], [], [], LOOK_SECONDS)[0]:
            meanwhile()
        line = self._process.stdout.readline()
        found = json.loads(line) if line else {"phase": "failed", "reason": "the load generator has ended"}
        if found["phase"] != name:
            raise BenchError(found.get("reason", f"unexpected phase {found['phase']}"))
        return {key: float(value) for key, value in found.items() if key != "phase"}

    def open_files(self) -> int:
        """Return its number of open files: its streams, plus a few."""
        return sum(1 for _ in Path(f"/proc/{self._process.pid}/fd").iterdir())

    def wait_until_open(self, files: int, seconds: float) -> None:
        """Wait until no more than so many files are open, but not longer: streams close after their last state."""
        until = time.monotonic() + seconds
        while self.open_files() > files and time.monotonic() < until:
            time.sleep(LOOK_SECONDS / 25)

    def go_on(self) -> None:
        """Start the next phase."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()


@contextlib.contextmanager
def loading(server: Server, *arguments: str | float) -> Iterator[Load]:
    """Start the load generator with `load.c`'s arguments, and end it with the block."""
    command = [str(TOOLS / "load"), "--port", str(server.port), "--cpu", str(LOAD_CORE)]
    command += ["--pids", ",".join(map(str, server.pids())), *server.peer.load_arguments(), *map(str, arguments)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    try:
        yield Load(process)
    finally:
        end(process)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def publish(server: Server, *arguments: str | float) -> tuple[Figures, Figures]:
    """Open streams, publish, disconnect; return the figures of opening and of publishing."""
    with loading(server, *arguments) as load:
        found = load.phase("connected"), load.phase("published")
        load.phase("left")
    return found
