"""Runs an image as configured, like an engine with `--read-only --tmpfs /tmp -v …:/data`.

Engines cannot start containers everywhere, so this uses the kernel's mount, PID and network namespaces directly.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from support.image import Image
from support.imagespaces import enter_network

SECONDS = 60
STOP_SECONDS = 10  # `docker stop`'s default before it kills
PORT = 8000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
LOOPBACK_UP = (
    "import fcntl, socket, struct; "
    f"fcntl.ioctl(socket.socket(), {SIOCSIFFLAGS}, struct.pack('16sh14x', b'lo', {IFF_UP}))"
)
IDLE = ("sh", "-c", "echo idle; exec sleep infinity")
DIES_TOO = ("setpriv", "--pdeathsig=KILL")  # killed with its parent, however that ends
ENTER = f"""
set -e
root=$1 data=$2
shift 2
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero random urandom; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mount -t proc proc "$root/proc"
mount --bind "$data" "$root/data"
{sys.executable} -c "{LOOPBACK_UP}"
exec "$@"
"""


@dataclass(frozen=True)
class Answer:
    """A response of the server."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded from JSON."""
        return json.loads(self.body)


class Room:
    """One container."""

    def __init__(
        self, image: Image, folder: Path, environment: Mapping[str, str], command: Sequence[str] | None
    ) -> None:
        self._image = image
        self._environment = {**image.environment, **environment}
        self.log = folder / "log"
        data = folder / "data"
        if not data.exists():  # a new volume starts as a copy of the image's folder
            data.mkdir()
            owner = (image.root / "data").stat()
            os.chown(data, owner.st_uid, owner.st_gid)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(*DIES_TOO, "unshare", "--mount", "--pid", "--net", "--fork", "--kill-child=KILL"),
                    *("sh", "-c", ENTER, "enter", str(image.root), str(data)),
                    *self._inside(command or image.config["Cmd"]),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def says(self, word: str) -> None:
        """Wait for a line of output that contains `word`."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if word in line:
                return
        raise AssertionError(f"it ended without saying {word!r}: {self.log.read_text()}")

    @property
    def pid(self) -> int:
        """The host's pid of the container's first process."""
        listed = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        return int(listed)

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run another command in the container to completion, like `docker exec`."""
        return subprocess.run(
            self._entering(command),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    @contextmanager
    def beside(self, *command: str, word: str) -> Iterator[None]:
        """Run another command in the container; the block starts once it prints `word`."""
        process = subprocess.Popen(
            self._entering(command), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            assert process.stdout is not None
            assert word in process.stdout.readline()
            yield
        finally:
            process.kill()
            process.communicate(timeout=SECONDS)

    def check(self) -> "subprocess.CompletedProcess[str]":
        """Run the health check."""
        kind, *command = self._image.config["Healthcheck"]["Test"]
        assert kind == "CMD"
        return self.run(*command)

    def connect(self, port: int = PORT) -> socket.socket:
        """Connect to a port on the container's loopback."""
        with self._network():
            return socket.create_connection(("127.0.0.1", port), timeout=SECONDS)

    def ask(self, method: str, path: str, body: object = None, *, key: str = "", port: int = PORT) -> Answer:
        """Send a request to the server."""
        connection = HTTPConnection("127.0.0.1", port)
        connection.sock = self.connect(port)
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        answer = Answer(response.status, response.read())
        connection.close()
        return answer

    def send(self, number: int) -> None:
        """Send a signal to the first process."""
        os.kill(self.pid, number)

    def end(self, seconds: float = SECONDS) -> int:
        """Wait for the container to exit, and return the exit code."""
        return self._process.wait(seconds)

    def stop(self) -> int:
        """Stop the container with the image's signal within an engine's grace period, and return the exit code."""
        self.send(signal.Signals[self._image.config["StopSignal"]])
        return self.end(STOP_SECONDS)

    def kill(self) -> None:
        """Kill the container."""
        self._process.kill()
        self._process.communicate(timeout=SECONDS)

    def _inside(self, command: Sequence[str]) -> list[str]:
        user, _, group = self._image.config["User"].partition(":")
        variables = [f"{name}={value}" for name, value in self._environment.items()]
        return [
            *("chroot", str(self._image.root)),
            *(*DIES_TOO, f"--reuid={user}", f"--regid={group}", "--clear-groups"),
            *("env", "--ignore-environment", f"--chdir={self._image.config['WorkingDir']}", *variables, *command),
        ]

    def _entering(self, command: Sequence[str]) -> list[str]:
        return ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--net", "--", *self._inside(command)]

    @contextmanager
    def _network(self) -> Iterator[None]:
        """Move this thread into the container's network namespace, for the length of the block."""
        with Path("/proc/thread-self/ns/net").open() as ours, Path(f"/proc/{self.pid}/ns/net").open() as theirs:
            enter_network(theirs.fileno())
            try:
                yield
            finally:
                enter_network(ours.fileno())


@contextmanager
def room(
    image: Image, folder: Path, *, command: Sequence[str] | None = None, word: str = "", **environment: str
) -> Iterator[Room]:
    """Run a container inside the block, which starts once it prints `word`. Its data stay in `folder`."""
    running = Room(image, folder, environment, command)
    try:
        if word:
            running.says(word)
        yield running
    finally:
        running.kill()
