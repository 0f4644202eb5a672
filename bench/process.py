"""A server under measurement: pinned to its own core, observed through /proc, ended by its pid."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.catalog import Peer, Place

START_SECONDS = 60
STOP_SECONDS = 10
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = CORES[0], CORES[-1]


class BenchError(Exception):
    """A measurement failed; the text gives the reason."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; `folder` is its working folder, with its `output`."""

    peer: Peer
    port: int
    pid: int
    folder: Path

    @property
    def output(self) -> Path:
        """The file with what it has printed."""
        return self.folder / "output"

    def pids(self) -> list[int]:
        """Return the pids of the started process and its descendants."""
        return family(self.pid)

    def pss_kib(self) -> int:
        """Return the memory of all its processes; a page shared by n processes counts 1/n."""
        return sum(pss_kib(pid) for pid in self.pids())

    def rss_kib(self) -> int:
        """Return memory like `pss_kib`, at less cost to the server: shared pages count in full."""
        return sum(map(rss_kib, self.pids()))

    def sockets(self) -> int:
        """Return the number of sockets that its processes hold."""
        return sum(file.is_socket() for pid in self.pids() for file in Path(f"/proc/{pid}/fd").iterdir())

    def cpu_seconds(self) -> float:
        """Return user plus system time of its processes."""
        return cpu_seconds(self.pids())


def go_first() -> None:
    """Raise the priority of this process, its children, and its session under the kernel's autogroup scheduling."""
    os.nice(-10)
    group = Path("/proc/self/autogroup")
    if group.exists():
        group.write_text("-10")


@contextlib.contextmanager
def running(
    peer: Peer,
    cores: Sequence[int] = (),
    variables: Mapping[str, str] | None = None,
    *,
    start_seconds: float = START_SECONDS,
) -> Iterator[Server]:
    """Start a peer, wait until it listens, and end it with the block.

    `cores` pins it, by default to the first core; `variables` are added to its environment.
    """
    with tempfile.TemporaryDirectory(prefix="hookcast-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        port = free_port()
        command = ["taskset", "-c", ",".join(map(str, cores or [SERVER_CORE])), "setpriv", "--pdeathsig", "TERM"]
        with (folder / "output").open("wb") as output:
            process = subprocess.Popen(
                [*command, *peer.command(Place(port, folder))],
                cwd=folder,
                env={**os.environ, "HOOKCAST_DATABASE_URL": f"sqlite:///{folder / 'bench.db'}", **(variables or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                _wait_for(process, port, folder / "output", start_seconds)
                if peer.is_hookcast():
                    _wait_until_open(port, start_seconds)
                yield Server(peer, port, process.pid, folder)
            finally:
                end(process)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Send SIGTERM, wait, and SIGKILL the descendants that are left."""
    pids = family(process.pid) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pid in pids[1:]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def family(root: int) -> list[int]:
    """Return `root` and its descendants."""
    parents = {int(path.name): _parent(path) for path in Path("/proc").iterdir() if path.name.isdigit()}
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return user plus system time of these processes and of their children that have ended."""
    return sum(sum(map(int, _stat(pid)[11:15])) for pid in pids) / os.sysconf("SC_CLK_TCK")


def busy_seconds() -> float:
    """Return the CPU seconds of all processes of the machine so far."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    user, nice, system, _idle, _wait, interrupt, soft = fields[:7]
    return (user + nice + system + interrupt + soft) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """Return the CPU seconds of this process and its reaped children."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def stay_beside() -> None:
    """Keep this process, and children without an affinity of their own, off the server's core."""
    os.sched_setaffinity(0, {LOAD_CORE})


def _parent(path: Path) -> int:
    try:
        return int(_stat(int(path.name))[1])
    except OSError:
        return -1


def _stat(pid: int) -> list[str]:
    """Return the fields of proc(5) stat from the third on; the second may contain spaces and brackets."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def pss_kib(pid: int) -> int:
    """Return the memory of one process; a page shared by n processes counts 1/n."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def rss_kib(pid: int) -> int:
    """Return the resident memory of one process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_KIB


def free_port() -> int:
    """Return a port that is free right now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _wait_for(process: "subprocess.Popen[bytes]", port: int, output: Path, seconds: float) -> None:
    until = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise BenchError(f"it does not start: {output.read_text(errors='replace').strip()[-400:]}")


def _wait_until_open(port: int, seconds: float) -> None:
    """Wait until a Hookcast that listens has its store open, too."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
        connection.request("GET", "/api/fal-jobs/none")
        status = connection.getresponse().status
        connection.close()
        if status != http.HTTPStatus.SERVICE_UNAVAILABLE:
            return
        time.sleep(0.1)
    raise BenchError("its store does not open")
