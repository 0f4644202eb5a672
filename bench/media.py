"""Measure copies of results: memory and throughput of large files, small ones a second, and webhooks beside them.

    PYTHONPATH=tests python -m bench.media    # three runs, about three minutes; 5 GB of disk in a temporary directory
    PYTHONPATH=tests python -m bench.media --folder /srv/x    # on another disk

nginx serves the files from loopback. `curl -o` fetches the same ones to the same disk, in the same run: once as it is,
and once followed by sha256sum and an fsync of each file: what Hookcast does, too.
"""

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.catalog import Peer, Place
from bench.latency import one_run
from bench.process import CORES, BenchError, Server, free_port, go_first, running
from bench.services import serving_keys
from bench.signing import webhook

LARGE, LARGE_BYTES = 4, 500_000_000
SMALL, SMALL_BYTES = 1000, 1_000_000
SENDERS = 16
RUNS = 3
SECONDS = 60.0  # of one measurement at most
QUIET_LOAD = 3.0
QUIET_SECONDS = 300
ROUNDS = 4  # of 100 webhooks
GAP = 0.01  # seconds between two webhooks
NO_FILES = {"text": "no file in here"}
MP4 = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2"
PNG = b"\x89PNG\r\n\x1a\n"
NGINX = """
user root;
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    types {{ video/mp4 mp4; image/png png; }}
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port} backlog=4096; root {folder}/files; }}
}}
"""


def files(folder: Path) -> None:
    """Write the files that nginx serves: one large and one small, each under all its names."""
    folder.mkdir()
    noise = os.urandom(1_000_000)
    for kind, beginning, size, count in (("mp4", MP4, LARGE_BYTES, LARGE), ("png", PNG, SMALL_BYTES, SMALL)):
        first = folder / f"0.{kind}"
        with first.open("wb") as file:
            file.write(beginning)
            for _ in range(size // len(noise)):
                file.write(noise)
            file.truncate(size)
        for number in range(1, count):
            (folder / f"{number}.{kind}").hardlink_to(first)


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[str]:
    """Serve the files, and yield the URL of their directory."""

    def command(place: Place) -> list[str]:
        configuration = place.folder / "nginx.conf"
        (place.folder / "files").symlink_to(folder)
        configuration.write_text(NGINX.format(folder=place.folder, port=place.port))
        log = str(place.folder / "error.log")
        return ["/usr/sbin/nginx", "-p", str(place.folder), "-c", str(configuration), "-e", log]

    with running(Peer("nginx", "nginx", command, ""), CORES) as server:
        yield f"http://127.0.0.1:{server.port}"


@contextlib.contextmanager
def hookcast(folder: Path, **variables: str) -> Iterator[Server]:
    """Run `hookcast serve`, which keeps files in the folder."""

    def command(place: Place) -> list[str]:
        return [sys.executable, "-m", "hookcast", "serve", "--port", str(place.port)]

    local = f"http://127.0.0.1:{free_port()}"  # so that files of loopback addresses are kept
    with (
        serving_keys() as keys,
        running(
            Peer("hookcast", "Hookcast", command, ""),
            CORES,
            {
                "HOOKCAST_FAL_JWKS_URL": keys,
                "HOOKCAST_FAL_QUEUE_URL": local,
                "HOOKCAST_MEDIA_URL": f"file://{folder}",
                **variables,
            },
        ) as server,
    ):
        yield server


class Peak:
    """The highest memory of a server while the block runs, in MiB above that at its beginning."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.first = self.highest = server.rss_kib()

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def growth(self) -> float:
        """The growth so far."""
        return (self.highest - self.first) / 1024

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            self.highest = max(self.highest, self._server.rss_kib())


async def completed(port: int, payloads: dict[str, object], kept: int = 1) -> float:
    """Send a webhook for each job, and return the seconds until all are completed, with `kept` files each."""
    began = time.perf_counter()
    async with asyncio.timeout(SECONDS):
        names = list(payloads)
        await asyncio.gather(*(_send(port, names[place::SENDERS], payloads) for place in range(SENDERS)))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for name in names:
            state = await _ended(reader, writer, name)
            if [file["status"] for file in state["media"]] != ["kept"] * kept:
                raise BenchError(f"not all files were kept: {state['media']}")
        writer.close()
    return time.perf_counter() - began


async def _send(port: int, names: list[str], payloads: dict[str, object]) -> None:
    """Send webhooks one after the other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for name in names:
        writer.write(webhook(name, payloads[name]))
        await reader.readuntil(b'"accepted"}')
    writer.close()


async def _ended(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> dict[str, Any]:
    version = 0
    while True:
        path = f"/api/fal-jobs/{name}?wait=30&version={version}"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        state: dict[str, Any] = json.loads(await _body(reader, head))
        if state["status"] != "pending":
            return state
        version = state["version"]


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    if b"transfer-encoding: chunked" not in head:
        return await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
    parts = []
    while size := int(await reader.readline(), 16):
        parts.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(parts)


def video(url: str, number: int) -> object:
    """Return a result with one large file."""
    return {"video": {"url": f"{url}/{number % LARGE}.mp4", "content_type": "video/mp4"}}


def curl(url: str, folder: Path, *, flush: bool) -> float:
    """Fetch the large files at once; return the seconds. `flush`: with the hash and an fsync of each."""
    folder.mkdir()
    began = time.perf_counter()
    commands = [
        [
            "sh",
            "-c",
            'curl -s -o "$1" "$2" && { [ -z "$3" ] || { sha256sum "$1" > "$1.sum" && sync "$1"; }; }',
            "sh",
            str(folder / f"{n}"),
            url,
            "",
        ]
        for n in range(LARGE)
    ]
    for number, command in enumerate(commands):
        command[-2:] = [f"{url}/{number}.mp4", "yes" if flush else ""]
    for process in [subprocess.Popen(command) for command in commands]:
        if process.wait(SECONDS):
            raise BenchError("curl failed")
    took = time.perf_counter() - began
    shutil.rmtree(folder)
    return took


def large(url: str, folder: Path, run: int) -> dict[str, float]:
    """Copy the large files, between two fetches by curl."""
    with hookcast(folder / "media") as server:
        asyncio.run(completed(server.port, {f"warm-{run}-{n}": _image(url, n) for n in range(20)}))
        plain, flushed = _fetched(url, folder)
        os.sync()
        with Peak(server) as peak:
            took = asyncio.run(completed(server.port, {f"large-{run}-{n}": video(url, n) for n in range(LARGE)}))
    shutil.rmtree(folder / "media")
    again, again_flushed = _fetched(url, folder)
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


def _fetched(url: str, folder: Path) -> tuple[float, float]:
    os.sync()
    plain = curl(url, folder / "curl", flush=False)
    os.sync()
    return plain, curl(url, folder / "curl", flush=True)


def small(url: str, folder: Path, run: int) -> dict[str, float]:
    """Copy 1,000 images: of as many jobs, then of two."""
    with hookcast(folder / "media") as server:
        asyncio.run(completed(server.port, {f"warm-{run}-{n}": _image(url, n) for n in range(20)}))
        with Peak(server) as peak:
            one = asyncio.run(completed(server.port, {f"small-{run}-{n}": _image(url, n) for n in range(SMALL)}))
        half = SMALL // 2
        many = {f"many-{run}-{n}": _images(url, range(n * half, (n + 1) * half)) for n in range(2)}
        two = asyncio.run(completed(server.port, many, kept=half))
    shutil.rmtree(folder / "media")
    return {"images/s, one a job": SMALL / one, "images/s, 500 a job": SMALL / two, "memory growth, MiB": peak.growth}


def _image(url: str, number: int) -> object:
    return {"images": [{"url": f"{url}/{number}.png", "content_type": "image/png"}]}


def _images(url: str, numbers: range) -> object:
    return {"images": [{"url": f"{url}/{number}.png", "content_type": "image/png"} for number in numbers]}


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
        files(folder / "files")
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
