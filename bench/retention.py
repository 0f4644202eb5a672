"""Measure how long retention holds SQLite's writer: a file of old jobs with large results, read from a cold disk.

    python -m bench.retention                     # 200,000 jobs of 20 KB: 4 GB, about half an hour
    python -m bench.retention --jobs 20000

Half of the jobs are due. Before and during the clean-up a change is committed every 10 ms. The times are those for
which one transaction has held the writer, from its begin to the end of its commit: those of retention, and those of the
changes, which are small. Beside them, a thread flushes 4 KiB into a file of its own: a long wait there is the disk's,
not retention's.
"""

import argparse
import asyncio
import itertools
import os
import statistics
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec import Raw

from hookcast.jobs import Completed, Job, Registered, unseen
from hookcast.store import JobStore, open_store
from hookcast.store.database import open_database
from hookcast.store.rows import to_row
from hookcast.store.schema import jobs
from hookcast.transitions import advance
from hookcast.upkeep.retention import Retention

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
KEPT = timedelta(days=30)
PORTION = 1000
EVERY_SECONDS = 0.01
ALONE_SECONDS = 5.0
LIMIT_SECONDS = 0.05  # for which retention may hold the writer


def main() -> None:
    """Fill a file, clean it up, and print the times."""
    parser = argparse.ArgumentParser(prog="bench.retention", description=__doc__)
    parser.add_argument("--jobs", type=int, default=200_000)
    parser.add_argument("--bytes", type=int, default=20_000, help="of each result")
    parser.add_argument("--folder", type=Path, help="where the file is made; a temporary one by default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        asyncio.run(_measure(Path(folder) / "hookcast.db", arguments.jobs, arguments.bytes))


async def _measure(file: Path, count: int, size: int) -> None:
    url = f"sqlite:///{file}"
    await _fill(url, count, size)
    forget_cached(file)
    print(f"{count:,} jobs of {size:,} bytes, half of them due: {megabytes(file)}")
    async with open_store(url) as store:
        ours, others = writer_times(store)
        async with changing(store):
            await asyncio.sleep(ALONE_SECONDS)
        print(f"writer held by changes alone:        {spread(others)}")
        others.clear()
        began = time.monotonic()
        with flushing(file.with_name("flushed")) as flushes:
            async with changing(store):
                removed = await Retention(store, lambda: NOW, KEPT).clean()
        print(f"writer held by retention:            {spread(ours)}")
        print(f"writer held by changes meanwhile:    {spread(others)}")
        print(f"flushes of 4 KiB meanwhile:          {spread(flushes)}")
        print(f"{removed:,} jobs removed in {time.monotonic() - began:.0f} s; the file is {megabytes(file)}")


async def _fill(url: str, count: int, size: int) -> None:
    """Write jobs of 60 days, in the order of their creation."""
    async with open_store(url):
        pass
    database = open_database(url)
    rows = _rows(count, Raw(b'{"text":"' + b"x" * size + b'"}'))
    while portion := list(itertools.islice(rows, PORTION)):
        await database.write(lambda connection, portion=portion: connection.execute(jobs.insert(), portion), 60.0)  # type: ignore[misc]
    await database.close()


def _rows(count: int, result: Raw) -> Iterator[dict[str, object]]:
    for number in range(count):
        created = NOW - 2 * KEPT + 2 * KEPT * number / count
        name = f"{number * 2_654_435_761 % 2**32:08x}-{number}"  # in no order
        labels = Registered(
            endpoint_id=f"fal-ai/model-{number % 20}", owner=f"u{number % 97}", group=f"g{number % 997}"
        )
        job = advance(unseen(name, now=created), labels, now=created)
        ended = advance(job, Completed(result=result), now=created + timedelta(seconds=8))
        yield {**to_row(ended), "changed_at": ended.updated_at.timestamp()}


def forget_cached(file: Path) -> None:
    """Let the kernel drop the file's pages, so that they are read from the disk."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def writer_times(store: JobStore) -> tuple[list[float], list[float]]:
    """Return two lists to which the time of each transaction in the writer's thread is added, in seconds.

    The first is for transactions of the task that calls this, the second for those of others.
    """
    ours: list[float] = []
    others: list[float] = []
    this = asyncio.current_task()
    writer = store._database._writer  # type: ignore[attr-defined]
    submit = writer.submit

    def timed(work: Callable[[], object], times: list[float]) -> object:
        began = time.monotonic()
        try:
            return work()
        finally:
            times.append(time.monotonic() - began)

    writer.submit = lambda work: submit(timed, work, ours if asyncio.current_task() is this else others)
    return ours, others


@contextmanager
def flushing(file: Path) -> Iterator[list[float]]:
    """Write 4 KiB to the disk again and again during the block; gives the list of the times that it took."""
    times: list[float] = []
    over = threading.Event()

    def flush() -> None:
        with file.open("wb", buffering=0) as opened:
            while not over.wait(EVERY_SECONDS):
                began = time.monotonic()
                opened.write(bytes(4096))
                os.fdatasync(opened.fileno())
                times.append(time.monotonic() - began)

    thread = threading.Thread(target=flush)
    thread.start()
    try:
        yield times
    finally:
        over.set()
        thread.join()


@asynccontextmanager
async def changing(store: JobStore) -> AsyncIterator[None]:
    """Change jobs all the time during the block."""

    async def change() -> None:
        for number in itertools.count():
            await store.change(f"probe-{number}", lambda _: _probe(number))  # noqa: B023
            await asyncio.sleep(EVERY_SECONDS)

    task = asyncio.ensure_future(change())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _probe(number: int) -> Job:
    return advance(unseen(f"probe-{number}", now=NOW), Registered(), now=NOW)


def spread(seconds: list[float]) -> str:
    """Return the median, the 99.9th percentile and the longest of the times, and how many are over the limit."""
    ordered = sorted(seconds)
    figures = {
        "median": statistics.median(ordered),
        "p99.9": ordered[int(len(ordered) * 0.999)],
        "longest": ordered[-1],
    }
    over = sum(value > LIMIT_SECONDS for value in ordered)
    told = "  ".join(f"{name} {value * 1000:.1f} ms" for name, value in figures.items())
    return f"{told}  {over} of {len(ordered):,} over {LIMIT_SECONDS * 1000:.0f} ms"


def megabytes(file: Path) -> str:
    """Return the size of the file."""
    return f"{file.stat().st_size / 1e6:,.0f} MB"


if __name__ == "__main__":
    main()
