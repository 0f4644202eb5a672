"""Runs the sender of prebuilt requests (`requests.c`), and parses its output."""

import contextlib
import json
import struct
import subprocess
import tempfile
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.catalog import TOOLS
from bench.load import Figures
from bench.process import LOAD_CORE, BenchError, Server

SECONDS = 600


def request(method: str, path: str, body: bytes = b"", headers: str = "") -> bytes:
    """Return one HTTP/1.1 request; `headers` are whole lines."""
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def send(server: Server, requests: Sequence[bytes], *options: str | float, moments: Path | None = None) -> Figures:
    """Send all requests. Raises BenchError unless each gets the expected status. Options are those of `requests.c`.

    `moments` is a file for the time each was due, or without --rate sent; read it with `read_moments`.
    """
    with sending(server, requests, *options, moments=moments) as sender:
        return sender.figures()


class Sender:
    """Requests that are being sent."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def stop(self) -> None:
        """Send no more; answers are still read."""
        self._process.terminate()

    def figures(self) -> Figures:
        """Wait until all that was sent is answered. Raises BenchError."""
        text, _ = self._process.communicate(timeout=SECONDS)
        found = json.loads(text or "{}")
        if self._process.returncode or found.pop("phase", None) != "answered":
            raise BenchError(found.get("reason", f"the sender has ended with {self._process.returncode}"))
        return {name: float(value) for name, value in found.items()}


@contextlib.contextmanager
def sending(
    server: Server, requests: Sequence[bytes], *options: str | float, moments: Path | None = None
) -> Iterator[Sender]:
    """Send the requests meanwhile, as `send` does; what is still to send is dropped with the block."""
    with tempfile.NamedTemporaryFile(prefix="hookcast-bench-") as file:
        file.writelines(struct.pack("=I", len(one)) + one for one in requests)
        file.flush()
        command = [TOOLS / "requests", "--port", server.port, "--file", file.name, "--cpu", LOAD_CORE, *options]
        command += ["--moments", moments] if moments else []
        with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as process:
            try:
                yield Sender(process)
            finally:
                process.kill()


def read_moments(path: Path) -> Sequence[int]:
    """Read times written by `requests.c` or `load.c`: nanoseconds of the monotonic clock, 0 = did not happen."""
    return array("Q", path.read_bytes())
