"""Shared by the chaos tests: their size, seed and notes."""

import os
import statistics
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, SystemRandom
from typing import TypeVar

from nacl.signing import SigningKey

from support.web import Web

LONG = os.environ.get("CHAOS") == "long"
_T = TypeVar("_T")


def sized(short: _T, long: _T) -> _T:
    """Return `long` when `CHAOS=long` is in the environment, else `short`."""
    return long if LONG else short


@dataclass
class Chaos:
    """Random source and resources of one test. `note` lines are printed at the end of the run and on failure."""

    folder: Path
    random: Random
    web: Web
    key: SigningKey = field(default_factory=SigningKey.generate)
    notes: list[str] = field(default_factory=list)

    def note(self, line: str) -> None:
        """Record and print a line."""
        self.notes.append(line)
        sys.stdout.write(line + "\n")


@asynccontextmanager
async def chaos_of(name: str, folder: Path, notes: list[str]) -> AsyncIterator[Chaos]:
    """Seed a test from `CHAOS_SEED` or at random, and print the seed."""
    seed = int(os.environ.get("CHAOS_SEED") or SystemRandom().randrange(10**9))
    chaos = Chaos(folder, Random(f"{seed} {name}"), Web(), notes=notes)  # noqa: S311
    chaos.note(f"{name}: CHAOS_SEED={seed}")
    try:
        yield chaos
    finally:
        await chaos.web.close()


def spread(seconds: Iterable[float]) -> str:
    """Format median, 99th percentile and maximum, in milliseconds."""
    times = sorted(seconds)
    if not times:
        return "none"
    p50, p99, worst = statistics.median(times), times[int(len(times) * 0.99)], times[-1]
    return f"{len(times)} states, p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms, worst {worst * 1e3:.0f} ms"
