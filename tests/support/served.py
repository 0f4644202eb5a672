"""Real `hookcast serve` processes that are killed, stopped and restarted on the same port."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from support.forked import Forked, Start
from support.ports import quiet_port
from support.web import Web, has_database

START_SECONDS = 120.0
STOP_SECONDS = 120.0


class Served:
    """One node. All its processes append to one log file."""

    def __init__(
        self, folder: Path, settings: Mapping[str, object], workers: int = 1, open_files: int | None = None
    ) -> None:
        self.port = quiet_port()
        self.log = folder / f"node-{self.port}.log"
        self._folder = folder
        self._workers = workers
        self._arguments: Sequence[str] = ("serve", "--workers", str(workers))
        self._open_files = open_files
        ownerless = (
            "HOOKCAST_",
            "FAL_",
            "COVERAGE_",
        )  # killed processes record no coverage; other tests cover the rest
        others = {name: value for name, value in os.environ.items() if not name.startswith(ownerless)}
        ours = {f"HOOKCAST_{name.upper()}": str(value) for name, value in settings.items()}
        self._environment = {**others, **ours, "HOOKCAST_PORT": str(self.port)}
        self._process: Forked | None = None

    @property
    def pid(self) -> int:
        """The pid of the node's process."""
        assert self._process is not None
        return self._process.pid

    async def spawn(self, stderr: int | None = None) -> None:
        """Start the process without waiting; `stderr` is a file descriptor to use in place of the log file."""
        assert self._process is None
        with self.log.open("ab") as log:
            start = Start(self._arguments, self._folder, self._environment, open_files=self._open_files)
            self._process = Forked(start, log.fileno() if stderr is None else stderr)

    async def ready(self) -> None:
        """Wait until the node listens, and each of its workers serves."""
        await self.listens()
        for _ in range(self._workers if self._workers > 1 else 0):
            await self.worker_serves()

    async def listens(self) -> None:
        """Wait until the node listens; its workers, if it has any, are not there yet."""
        await self._says("listens")

    async def worker_serves(self) -> None:
        """Wait until one more worker serves."""
        await self._says("serves")

    async def _says(self, word: str) -> None:
        assert self._process is not None
        async with asyncio.timeout(START_SECONDS):
            line = await asyncio.to_thread(self._process.stdout.readline)
        assert word in line, self.log.read_text()

    async def start(self) -> None:
        """Start the node, and wait until it has its database."""
        await self.spawn()
        await self.ready()
        await self.opened()

    async def opened(self) -> None:
        """Wait until the node has its database: on a busy machine it listens before."""
        async with asyncio.timeout(START_SECONDS):
            await has_database(self.port)

    async def healthy(self, web: Web) -> None:
        """Wait until /readyz says that all dependencies are available."""
        while b'"status":"ok"' not in (await web.request(self.port, "GET", "/readyz"))[1]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # leave the CPU to the server meanwhile

    def workers(self) -> list[int]:
        """Return the pids of the worker processes (proc(5), children)."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    async def kill(self) -> None:
        """Send SIGKILL, to workers as well. Idempotent."""
        if self._process is not None:
            with suppress(OSError):
                pids = self.workers()
                self._process.kill()
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)
            await asyncio.to_thread(self._process.wait)
            self._process = None

    def freeze(self) -> None:
        """Send SIGSTOP: the node does nothing, and its connections stay open."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Send SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    async def stop(self) -> int:
        """Send SIGTERM, as an orchestrator does, and return the exit code."""
        assert self._process is not None
        self._process.terminate()
        return await self.ended()

    async def ended(self) -> int:
        """Wait for the process to exit, and return the exit code."""
        process, self._process = self._process, None
        assert process is not None
        try:
            return await asyncio.to_thread(process.wait, STOP_SECONDS)
        finally:
            process.kill()

    def complaints(self) -> list[str]:
        """Return logged errors and output that is not a log record; there must be none."""
        return [line for line in self.log.read_text(errors="replace").splitlines() if _level(line) == "error"]


def _level(line: str) -> str:
    try:
        record: Any = json.loads(line)
    except ValueError:
        return "error"  # a traceback, or a Python warning
    return "error" if record.get("level") in {"error", "critical"} else "fine"


@asynccontextmanager
async def running_served(
    folder: Path, settings: Mapping[str, object], *, count: int = 1, workers: int = 1, opened: bool = True
) -> AsyncIterator[list[Served]]:
    """Run nodes inside the block, and kill them at its end; `opened` = they listen at 127.0.0.1, with a database."""
    nodes = [Served(folder, settings, workers) for _ in range(count)]
    try:
        for node in nodes:
            await node.spawn()
        for node in nodes:
            await node.ready()
            if opened:
                await node.opened()
        yield nodes
    except Exception:
        sys.stderr.writelines(f"{line}\n" for node in nodes for line in node.complaints())  # shown with the failure
        raise
    finally:
        for node in nodes:
            await node.kill()
