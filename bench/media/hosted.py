"""The files that results name, served by nginx; and what `curl` takes to fetch them."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from bench.catalog import Peer, Place
from bench.process import CORES, BenchError, running

LARGE, LARGE_BYTES = 4, 500_000_000
SMALL, SMALL_BYTES = 1000, 1_000_000
SECONDS = 60.0  # of one measurement at most
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


def write_files(folder: Path) -> None:
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


def video(url: str, number: int) -> object:
    """Return a result with one large file."""
    return {"video": {"url": f"{url}/{number % LARGE}.mp4", "content_type": "video/mp4"}}


def image(url: str, number: int) -> object:
    """Return a result with one small file."""
    return {"images": [{"url": f"{url}/{number}.png", "content_type": "image/png"}]}


def images(url: str, numbers: range) -> object:
    """Return a result with these small files."""
    return {"images": [{"url": f"{url}/{number}.png", "content_type": "image/png"} for number in numbers]}


def fetched(url: str, folder: Path) -> tuple[float, float]:
    """Fetch the large files twice; return the seconds without and with a hash and an fsync of each."""
    os.sync()
    plain = _curl(url, folder / "curl", flush=False)
    os.sync()
    return plain, _curl(url, folder / "curl", flush=True)


def _curl(url: str, folder: Path, *, flush: bool) -> float:
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
