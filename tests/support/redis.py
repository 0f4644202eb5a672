"""Redis servers of one's own, alone or as a cluster: Debian's redis-server on free ports of loopback."""

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SECONDS = 30


@dataclass
class Redis:
    """One server, which may be stopped and started again."""

    port: int
    folder: Path
    options: tuple[str, ...] = ()
    _process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        command += ["--save", "", "--appendonly", "no", "--loglevel", "warning", *self.options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        assert self.cli("ping", tries=200) == "PONG"

    def stop(self) -> None:
        """Stop it at once. Idempotent."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(SECONDS)
            self._process = None

    def freeze(self) -> None:
        """It answers nothing any more, and its connections stay."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def cli(self, *words: str, tries: int = 1) -> str:
        """Ask it something with redis-cli; again while it says nothing, for so many tries."""
        said = ""
        for _ in range(tries):
            command = ["redis-cli", "-p", str(self.port), *words]
            said = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False).stdout.strip()
            if said:
                break
        return said


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in listeners]


@contextmanager
def running_redis() -> Iterator[Redis]:
    """One server for the length of the block."""
    folder = Path(tempfile.mkdtemp(prefix="hookcast-redis-"))
    server = Redis(_free_ports(1)[0], folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@contextmanager
def running_cluster() -> Iterator[str]:
    """Three primaries that share the slots; the address of the cluster as a user of Hookcast writes it."""
    folder = Path(tempfile.mkdtemp(prefix="hookcast-cluster-"))
    servers = []
    try:
        for port in _free_ports(3):
            (folder / str(port)).mkdir()
            bus = _free_ports(1)[0]
            options = ("--cluster-enabled", "yes", "--cluster-port", str(bus))
            servers.append(Redis(port, folder / str(port), options))
            servers[-1].start()
        addresses = [f"127.0.0.1:{server.port}" for server in servers]
        command = ["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"]
        subprocess.run(command, stdout=subprocess.DEVNULL, timeout=SECONDS, check=True)
        yield f"redis+cluster://{addresses[0]}"
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(folder)
