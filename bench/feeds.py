"""Measure the feed of an owner with many jobs and many tabs: opening it, and what a change costs.

    PYTHONPATH=tests python -m bench.feeds    # 20,000 jobs, 200 tabs, SSE and WebSocket, three runs: two minutes

`hookcast serve` on a SQLite file with the owner's jobs has one core; the tabs and fal have the other. All tabs open at
once, and each reads its 1,000 first states. Then signed webhooks end jobs one after the other: a delivery is timed from
the sending of the webhook to the tab's read of the state. For comparison the same jobs change while the tabs watch the
feed of an owner who has these alone, and while they watch these jobs by name.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

from msgspec import Raw

from bench.process import Server, stay_beside
from bench.services import serving_keys
from bench.signing import PAYLOAD, webhook
from bench.telling import hookcast
from hookcast.jobs import Completed, Job, Registered, unseen
from hookcast.push.subscriptions import FEED_STATES
from hookcast.transitions import advance
from support.tabs import KINDS, LIMIT_SECONDS, Tab, open_tabs, write_jobs

MANY, FEW, NONE = OWNERS = ("many", "few", "none")  # NONE's jobs are watched by name
RUNS = 3
CHANGES = 100  # of each measurement, each to another job
GAP_SECONDS = 0.02
SETTLE_SECONDS = 1.0


async def change(server: Server, opened: list[Tab], names: list[str]) -> dict[str, float]:
    """End these jobs one by one; return the latencies of the deliveries, and the CPU time of a change."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    times, cpu = [], server.cpu_seconds()
    async with asyncio.timeout(LIMIT_SECONDS):
        for name in names:
            read = [tab.until(tab.states + 1, name.encode()) for tab in opened]
            message, began = webhook(name), time.perf_counter()
            writer.write(message)
            await reader.readuntil(b'"accepted"}')
            await asyncio.gather(*read)
            times += [(tab.seen - began) * 1000 for tab in opened]
            await asyncio.sleep(GAP_SECONDS)
    writer.close()
    times.sort()
    used = server.cpu_seconds() - cpu
    return {
        "p50 ms": statistics.median(times),
        "p99 ms": times[int(len(times) * 0.99) - 1],
        "CPU ms of a change": used / len(names) * 1000,
    }


async def measure(server: Server, kind: str, count: int, run: int) -> dict[str, float]:
    """Measure the feed of many jobs, that of few, and jobs by name."""
    found = {}
    began, cpu = time.perf_counter(), server.cpu_seconds()
    names = {title: probes(title, kind, run) for title in OWNERS}
    async with open_tabs(server.port, kind, count, FEED_STATES, owners=[MANY]) as opened:
        found["seconds until all have the first states"] = time.perf_counter() - began
        found["CPU s of that"] = server.cpu_seconds() - cpu
        await asyncio.sleep(SETTLE_SECONDS)
        found |= {f"many: {key}": value for key, value in (await change(server, opened, names[MANY])).items()}
    async with open_tabs(server.port, kind, count, CHANGES * len(KINDS) * RUNS, owners=[FEW]) as opened:
        found |= {f"few: {key}": value for key, value in (await change(server, opened, names[FEW])).items()}
    async with open_tabs(server.port, kind, count, CHANGES, requestIds=names[NONE]) as opened:
        found |= {f"by name: {key}": value for key, value in (await change(server, opened, names[NONE])).items()}
    return found


def probes(owner: str, kind: str, run: int) -> list[str]:
    """Return the requestIds of the jobs that change in a measurement."""
    return [f"{owner}-{kind}-{run}-{number:04}" for number in range(CHANGES)]


def filling(count: int) -> Iterator[Job]:
    """Yield the jobs of all owners: the ended ones of MANY, and those that will change."""
    now = datetime.now(UTC)
    for number in range(count):
        yield _job(f"old-{number}", MANY, now - timedelta(minutes=5) + timedelta(milliseconds=number), ended=True)
    for owner, kind, run in product(OWNERS, KINDS, range(RUNS)):
        yield from (_job(name, owner, now, ended=False) for name in probes(owner, kind, run))


def _job(name: str, owner: str, moment: datetime, *, ended: bool) -> Job:
    labels = Registered(endpoint_id="fal-ai/flux/dev", owner=owner, metadata={"prompt": Raw(b'"a cat in the rain"')})
    job = advance(unseen(name, now=moment), labels, now=moment)
    if not ended:
        return job
    return advance(job, Completed(result=Raw(json.dumps(PAYLOAD).encode())), now=moment + timedelta(seconds=8))


def main() -> None:
    """Measure each transport in every run, and print the medians with the lowest and the highest."""
    parser = argparse.ArgumentParser(prog="bench.feeds", description=__doc__)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--tabs", type=int, default=200)
    parser.add_argument("--runs", type=int, default=RUNS, choices=range(1, RUNS + 1))
    parser.add_argument("--kind", choices=KINDS, action="append", help="both by default")
    given = parser.parse_args()
    stay_beside()
    with tempfile.TemporaryDirectory() as folder, serving_keys() as keys:
        url = f"sqlite:///{Path(folder) / 'feeds.db'}"
        asyncio.run(write_jobs(url, filling(given.jobs)))
        for kind in given.kind or KINDS:
            figures: dict[str, list[float]] = {}
            for run in range(given.runs):
                with hookcast(url, keys, {}) as server:
                    for title, value in asyncio.run(measure(server, kind, given.tabs, run)).items():
                        figures.setdefault(title, []).append(value)
            for title, values in figures.items():
                print(f"{kind}: {title}: {statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})")


if __name__ == "__main__":
    main()
