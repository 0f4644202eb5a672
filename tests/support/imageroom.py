"""Runs an image as its configuration says, like an engine does with `--read-only --tmpfs /tmp -v …:/data`.

Engines cannot start containers everywhere. This asks the kernel itself for a space of mounts, processes and network.
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
STOP_SECONDS = 10  # what `docker stop` waits for before it kills
PORT = 8000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
LOOPBACK_UP = (
    "import fcntl, socket, struct; "
    f"fcntl.ioctl(socket.socket(), {SIOCSIFFLAGS}, struct.pack('16sh14x', b'lo', {IFF_UP}))"
)
IDLE = ("sh", "-c", "echo idle; exec sleep infinity")
DIES_TOO = ("setpriv", "--pdeathsig=KILL")  # with its parent, whatever ends that
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
    """What the server said."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """The body's meaning."""
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
        if not data.exists():  # a new volume begins as the image's own folder
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
        """Wait for a line of its output."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if word in line:
                return
        raise AssertionError(f"it ended without saying {word!r}: {self.log.read_text()}")

    @property
    def pid(self) -> int:
        """Its first process, by the machine's number."""
        listed = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        return int(listed)

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """One more command in it, to its end; as `docker exec` does."""
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
        """One more command in it, from when it says the word on."""
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
        """Its health check."""
        kind, *command = self._image.config["Healthcheck"]["Test"]
        assert kind == "CMD"
        return self.run(*command)

    def connect(self, port: int = PORT) -> socket.socket:
        """A connection to a port of its loopback."""
        with self._network():
            return socket.create_connection(("127.0.0.1", port), timeout=SECONDS)

    def ask(self, method: str, path: str, body: object = None, *, key: str = "", port: int = PORT) -> Answer:
        """A request to the server."""
        connection = HTTPConnection("127.0.0.1", port)
        connection.sock = self.connect(port)
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        answer = Answer(response.status, response.read())
        connection.close()
        return answer

    def send(self, number: int) -> None:
        """A signal to its first process."""
        os.kill(self.pid, number)

    def end(self, seconds: float = SECONDS) -> int:
        """Wait for its end; the exit code."""
        return self._process.wait(seconds)

    def stop(self) -> int:
        """As an engine does, with the image's signal, and as patiently; the exit code."""
        self.send(signal.Signals[self._image.config["StopSignal"]])
        return self.end(STOP_SECONDS)

    def kill(self) -> None:
        """Whatever happens."""
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
        """What this thread connects meanwhile, it connects in there."""
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
    """A container for the length of the block, from when it says the word on. Its data stay in `folder`."""
    running = Room(image, folder, environment, command)
    try:
        if word:
            running.says(word)
        yield running
    finally:
        running.kill()
