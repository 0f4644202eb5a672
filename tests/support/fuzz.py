"""Shared by the fuzz tests: their size, seed, server and findings."""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, SystemRandom

from nacl.signing import SigningKey

from support.connections import listening
from support.fal import jwk
from support.served import Served, running_served

LONG = os.environ.get("FUZZ") == "long"
SETTLE_SECONDS = 120.0
GROWTH_KIB = 24 * 1024
"""Allowed growth after the warm-up: allocators keep memory that was freed in between."""
GROWTH_FILES = 8
"""Allowed growth, in sockets; the database's own files come and go."""


@dataclass
class Fuzz:
    """One run. `batch(number)` is the random source of one batch: reproducible from the seed."""

    seed: int
    name: str
    server: Served
    key: SigningKey
    notes: list[str]
    seen: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    under_way: int = 0
    _told: float = 0.0

    def batch(self, number: int) -> Random:
        """Return the random source of one batch."""
        return Random(f"{self.seed} {self.name} {number}")  # noqa: S311

    def fault(self, batch: int, what: str, sent: bytes, answer: bytes = b"") -> None:
        """Record a violation, with the bytes that reproduce it."""
        self.faults.append(f"batch {batch}: {what}\n  sent {sent[:2000]!r}\n  read {answer[:1000]!r}")
        assert len(self.faults) < 20, "\n".join(self.faults)

    def note(self, line: str) -> None:
        """Record and print a line."""
        self.notes.append(line)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def progress(self, done: int, total: int) -> None:
        """Print progress, every ten seconds."""
        now = time.monotonic()
        if now - self._told > 10:
            self._told = now
            sys.stdout.write(f"{self.name}: {done:,} of {total:,}, {self.usage()}\n")
            sys.stdout.flush()

    def usage(self) -> str:
        """Format memory and open files."""
        return f"{pss_kib(self.server.pid) / 1024:.1f} MiB, {open_files(self.server.pid)} files"


def pss_kib(pid: int) -> int:
    """Return the process's proportional set size (proc(5), smaps_rollup)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def open_files(pid: int) -> int:
    """Return the number of open file descriptors of the process."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


@asynccontextmanager
async def fuzzing(name: str, folder: Path, notes: list[str]) -> AsyncIterator[Fuzz]:
    """Run a separate `hookcast serve` that trusts the test's key as fal's. `FUZZ_SEED` repeats a run."""
    seed = int(os.environ.get("FUZZ_SEED") or SystemRandom().randrange(10**9))
    key = SigningKey(Random(seed).randbytes(32))  # noqa: S311
    async with published(key) as jwks, running_served(folder, {"fal_jwks_url": jwks}) as [server]:
        fuzz = Fuzz(seed, name, server, key, notes)
        fuzz.note(f"{name}: FUZZ_SEED={seed}")
        yield fuzz


@asynccontextmanager
async def published(key: SigningKey) -> AsyncIterator[str]:
    """Serve a JWKS with this key, and yield its URL."""
    body = json.dumps({"keys": [jwk(key)]}).encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()

    async with listening(answer) as port:
        yield f"http://127.0.0.1:{port}/jwks.json"


@asynccontextmanager
async def no_growth(fuzz: Fuzz) -> AsyncIterator[None]:
    """Assert that the block, run after the warm-up, leaks neither memory nor open files and logs no errors."""
    files = await _settled(fuzz.server.pid)
    memory, began = pss_kib(fuzz.server.pid), time.monotonic()
    yield
    seconds = time.monotonic() - began
    files_after = await _settled(fuzz.server.pid, files + GROWTH_FILES)
    growth = pss_kib(fuzz.server.pid) - memory
    fuzz.note(
        f"{fuzz.name}: {fuzz.seen.total():,} in all, {seconds:.0f} s after the warm-up; memory {memory / 1024:.1f} MiB "
        f"{growth / 1024:+.1f} MiB, files {files} {files_after - files:+d}; answers "
        + ", ".join(f"{count:,} of {answer}" for answer, count in fuzz.seen.most_common())
    )
    assert not fuzz.faults, "\n".join(fuzz.faults)
    assert growth <= GROWTH_KIB
    assert files_after <= files + GROWTH_FILES
    found = list(complaints(fuzz.server))
    assert not found, "".join(line[:200] + line[-1500:] for line in found[:2])


async def _settled(pid: int, files: int = 0) -> int:
    """Return the open files once earlier connections are closed: at most `files`, or a stable number."""
    deadline, seen, same = time.monotonic() + SETTLE_SECONDS, -1, 0
    while time.monotonic() < deadline and same < 10:
        found = open_files(pid)
        same = same + 1 if found == seen and (not files or found <= files) else 0
        seen = found
        await asyncio.sleep(0.05)  # poll: nothing signals that the server has closed its last connection
    return seen


def complaints(server: Served) -> Iterator[str]:
    """Yield output that is not a log record, and logged errors; read by line, since the log is large."""
    with server.log.open(errors="replace") as lines:
        for line in lines:
            if not line.startswith("{") or '"level": "error"' in line or '"level": "critical"' in line:
                yield line
