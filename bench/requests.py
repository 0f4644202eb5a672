"""Runs the tool that sends ready-made requests (`requests.c`), and reads its line."""

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
    """One request as HTTP/1.1 bytes; `headers` are whole lines."""
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def send(server: Server, requests: Sequence[bytes], *options: str | float, moments: Path | None = None) -> Figures:
    """Send them all, each answer with the status wanted, or raise BenchError. Options are those of `requests.c`.

    `moments` is a file for the time each was due, or sent without --rate; read it with `read_moments`.
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
    """Nanoseconds of the monotonic clock, 0 for what did not happen; of `requests.c` or `load.c`."""
    return array("Q", path.read_bytes())
