"""A separate systemd that runs deploy/hookcast.service unchanged, sandbox included. It needs root."""

import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "hookcast.service"
BOOT = ROOT / "tests" / "deploy" / "boot"
SECONDS = 60
LOG = "/run/hookcast.log"
DROP_IN = "/etc/systemd/system/hookcast.service.d"


class Machine:
    """A machine with Hookcast installed; it shares this one's network."""

    def __init__(self, pid: int) -> None:
        self._pid = pid  # of the machine's systemd

    def run(self, *command: str, given: str = "", check: bool = True) -> str:
        """Run a command on the machine, and return its stdout."""
        enter = ("nsenter", "--target", str(self._pid), "--mount", "--pid", "--ipc", "--uts", "--cgroup", "--")
        done = subprocess.run(
            [*enter, *command], input=given, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == 0 or not check, f"{command}: {done.stdout}{done.stderr}\n{self.log}"
        return done.stdout

    def write(self, path: str, text: str) -> None:
        """Write a file on the machine, creating its folder."""
        self.run("install", "-D", "-m", "600", "/dev/stdin", path, given=text)

    def systemctl(self, *words: str, check: bool = True) -> str:
        """Run systemctl on the machine."""
        return self.run("systemctl", *words, check=check)

    def configure(self, environment: str, service: str = "") -> None:
        """Write /etc/hookcast.env and a drop-in with [Service] lines, after stopping and resetting the service."""
        self.systemctl("stop", "hookcast", check=False)
        self.systemctl("reset-failed", "hookcast", check=False)
        self.write("/etc/hookcast.env", environment)
        output = f"StandardOutput=append:{LOG}\nStandardError=append:{LOG}\n"
        self.write(f"{DROP_IN}/override.conf", f"[Service]\n{output}{service}")
        self.run("rm", "-f", LOG)
        self.systemctl("daemon-reload")

    @property
    def running(self) -> bool:
        """True once the machine has booted."""
        return self.systemctl("is-system-running", check=False) == "running\n"

    def shows(self, name: str) -> str:
        """Return a property of the service."""
        return self.systemctl("show", "--property", name, "--value", "hookcast").strip()

    @property
    def log(self) -> str:
        """Everything the service has printed and logged."""
        enter = ("nsenter", "--target", str(self._pid), "--mount", "cat", LOG)
        return subprocess.run(enter, capture_output=True, text=True, timeout=SECONDS, check=False).stdout


@contextmanager
def running_machine() -> Iterator[Machine]:
    """Boot a machine, and shut it down with the block."""
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    command = [str(BOOT), sys.base_prefix, python, sysconfig.get_path("purelib"), str(ROOT / "server"), str(UNIT)]
    boot = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert boot.stdin is not None
    assert boot.stdout is not None
    with boot.stdout, boot.stdin:
        try:
            machine = Machine(int(boot.stdout.readline()))
            deadline = time.monotonic() + SECONDS
            while not machine.running:
                assert time.monotonic() < deadline, "systemd does not start; it needs root, and Linux's namespaces"
                time.sleep(0.02)
            yield machine
        finally:
            boot.stdin.close()
            boot.wait(SECONDS)
