"""Measure copies of results: memory and throughput of large files, small ones a second, and webhooks beside them.

    PYTHONPATH=tests python -m bench.media    # three runs, about three minutes; 5 GB of disk in a temporary directory
    PYTHONPATH=tests python -m bench.media --folder /srv/x    # on another disk

nginx serves the files from loopback. `curl -o` fetches the same ones to the same disk, in the same run: once as it is,
and once followed by sha256sum and an fsync of each file: what Hookcast does, too.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.latency import one_run
from bench.media.copies import Peak, completed, hookcast
from bench.media.hosted import LARGE, LARGE_BYTES, SMALL, fetched, image, images, nginx, video, write_files
from bench.process import BenchError, Server, go_first

RUNS = 3
QUIET_LOAD = 3.0
QUIET_SECONDS = 300
ROUNDS = 4  # of 100 webhooks
GAP = 0.01  # seconds between two webhooks
NO_FILES = {"text": "no file in here"}


def large(url: str, folder: Path, run: int) -> dict[str, float]:
    """Copy the large files, between two fetches by curl."""
    with hookcast(folder / "media") as server:
        asyncio.run(completed(server.port, {f"warm-{run}-{n}": image(url, n) for n in range(20)}))
        plain, flushed = fetched(url, folder)
        os.sync()
        with Peak(server) as peak:
            took = asyncio.run(completed(server.port, {f"large-{run}-{n}": video(url, n) for n in range(LARGE)}))
    shutil.rmtree(folder / "media")
    again, again_flushed = fetched(url, folder)
    total = LARGE * LARGE_BYTES / 1e6
    plain, flushed = (plain + again) / 2, (flushed + again_flushed) / 2
    return {
        "MB/s": total / took,
        "MB/s of curl": total / plain,
        "MB/s of curl, sha256sum, fsync": total / flushed,
        "of curl": plain / took,
        "of curl, sha256sum, fsync": flushed / took,
        "memory growth, MiB": peak.growth,
    }


def small(url: str, folder: Path, run: int) -> dict[str, float]:
    """Copy 1,000 images: of as many jobs, then of two."""
    with hookcast(folder / "media") as server:
        asyncio.run(completed(server.port, {f"warm-{run}-{n}": image(url, n) for n in range(20)}))
        with Peak(server) as peak:
            one = asyncio.run(completed(server.port, {f"small-{run}-{n}": image(url, n) for n in range(SMALL)}))
        half = SMALL // 2
        many = {f"many-{run}-{n}": images(url, range(n * half, (n + 1) * half)) for n in range(2)}
        two = asyncio.run(completed(server.port, many, kept=half))
    shutil.rmtree(folder / "media")
    return {"images/s, one a job": SMALL / one, "images/s, 500 a job": SMALL / two, "memory growth, MiB": peak.growth}


def webhooks(url: str, folder: Path, run: int) -> dict[str, float]:
    """Measure webhooks without copies, beside copies of large files, and without again."""
    with hookcast(folder / "media") as server:
        asyncio.run(one_run(server.port, f"warm{run}", GAP, NO_FILES))
        before = asyncio.run(_latencies(server.port, f"before{run}"))
        beside = asyncio.run(_beside(server, url, folder / "media", run))
        after = asyncio.run(_latencies(server.port, f"after{run}"))
    shutil.rmtree(folder / "media")
    without = (_p99(before) + _p99(after)) / 2
    return {
        "p50 without, ms": statistics.median(before + after),
        "p50 beside, ms": statistics.median(beside),
        "p99 without, ms": without,
        "p99 beside, ms": _p99(beside),
        "p99 beside ÷ without": _p99(beside) / without,
    }


async def _latencies(port: int, name: str) -> list[float]:
    return [each for turn in range(ROUNDS) for each in await one_run(port, f"{name}-{turn}", GAP, NO_FILES)]


async def _beside(server: Server, url: str, media: Path, run: int) -> list[float]:
    """Measure while four large files are copied all the time."""

    async def copying(place: int) -> None:
        for turn in range(10**6):
            name = f"beside-{run}-{place}-{turn}"
            await completed(server.port, {name: video(url, place)})
            await asyncio.to_thread(shutil.rmtree, media / name)

    tasks = [asyncio.ensure_future(copying(place)) for place in range(LARGE)]
    try:
        await asyncio.sleep(0.5)
        found = await _latencies(server.port, f"beside{run}")
        if any(task.done() for task in tasks):
            raise BenchError("the copies ended too soon")
        return found
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _p99(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99) - 1]


def wait_until_quiet(seconds: int = QUIET_SECONDS) -> None:
    """Wait until the machine has little else to do, and say so when it does not become quiet."""
    for _ in range(seconds):
        if os.getloadavg()[0] < QUIET_LOAD:
            return
        time.sleep(1)
    print(f"the machine is busy: load {os.getloadavg()[0]:.1f}", file=sys.stderr)


Part = Callable[[str, Path, int], dict[str, float]]
PARTS: dict[str, Part] = {"large": large, "small": small, "webhooks": webhooks}


def main() -> None:
    """Measure each part in every run, and print the medians with the lowest and the highest."""
    parser = argparse.ArgumentParser(prog="bench.media", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--part", choices=PARTS, action="append", help="may be repeated; all by default")
    parser.add_argument("--folder", type=Path, help="where files are kept; a temporary directory by default")
    parser.add_argument("--wait", type=int, default=QUIET_SECONDS, help="seconds at most for the machine to be quiet")
    parser.add_argument("--priority", action="store_true", help="ahead of everything else on the machine (root)")
    given = parser.parse_args()
    if given.priority:
        go_first()
    found: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory(prefix="hookcast-bench-", dir=given.folder) as name:
        folder = Path(name)
        write_files(folder / "files")
        with nginx(folder / "files") as url:
            for run in range(given.runs):
                for part in given.part or PARTS:
                    wait_until_quiet(given.wait)
                    for title, value in PARTS[part](url, folder, run).items():
                        found.setdefault(part, {}).setdefault(title, []).append(value)
                    print(f"run {run + 1}, {part}: {_last(found[part])}", file=sys.stderr, flush=True)
    for part, figures in found.items():
        for title, values in figures.items():
            print(f"{part}: {title}: {statistics.median(values):.4g} ({min(values):.4g} to {max(values):.4g})")


def _last(figures: dict[str, list[float]]) -> str:
    return "  ".join(f"{title} {values[-1]:.4g}" for title, values in figures.items())


if __name__ == "__main__":
    main()
