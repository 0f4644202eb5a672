"""Runs the sender of prebuilt requests (`requests.c`), and parses its output."""

import json
import struct
import subprocess
import tempfile
from array import array
from collections.abc import Sequence
from pathlib import Path

from bench.catalog import TOOLS
from bench.load import Figures
from bench.process import LOAD_CORE, BenchError, Server

SECONDS = 120


def request(method: str, path: str, body: bytes = b"", headers: str = "") -> bytes:
    """Return one HTTP/1.1 request; `headers` are whole lines."""
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def send(server: Server, requests: Sequence[bytes], *options: str | float, moments: Path | None = None) -> Figures:
    """Send all requests. Raises BenchError unless each gets the expected status. Options are those of `requests.c`.

    `moments` is a file for the time each was due, or without --rate sent; read it with `read_moments`.
    """
    with tempfile.NamedTemporaryFile(prefix="hookcast-bench-") as file:
        file.writelines(struct.pack("=I", len(one)) + one for one in requests)
        file.flush()
        command = [TOOLS / "requests", "--port", server.port, "--file", file.name, "--cpu", LOAD_CORE, *options]
        command += ["--moments", moments] if moments else []
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=SECONDS, check=False)
    found = json.loads(done.stdout or "{}")
    if done.returncode or found.pop("phase", None) != "answered":
        raise BenchError(found.get("reason", f"the sender has ended with {done.returncode}"))
    return {name: float(value) for name, value in found.items()}


def read_moments(path: Path) -> Sequence[int]:
    """Read times written by `requests.c` or `load.c`: nanoseconds of the monotonic clock, 0 = did not happen."""
    return array("Q", path.read_bytes())
