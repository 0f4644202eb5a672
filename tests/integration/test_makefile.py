"""What `make` does on a machine that lacks something: each program is a stand-in that says what it was asked for."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[2] / "Makefile"
OLD_PYTHON = "case $2 in *version_info*) exit 1;; esac"
NO_VENV = "case $2 in *ensurepip*) exit 1;; esac"


class Machine:
    """A folder with our Makefile, and programs of the test's making in front of the real ones."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._programs = folder / "programs"
        self._programs.mkdir()
        shutil.copy(MAKEFILE, folder)
        for name in ("pyproject.toml", "requirements/dev.txt", "web/package-lock.json"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).touch()
        self.program("id", "echo 0")
        self.program("npm", "echo 10")
        for name in ("python3", "node", "apt-get"):
            self.program(name, "")

    def program(self, name: str, script: str) -> None:
        """Put a program there."""
        path = self._programs / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> "{self.folder}/asked"\n{script}\n')
        path.chmod(0o755)

    def make(self, target: str, *settings: str) -> subprocess.CompletedProcess[str]:
        """Run make there."""
        path = f"{self._programs}:{os.environ['PATH']}"
        command = ["make", "-C", str(self.folder), target, *settings]
        return subprocess.run(command, env={"PATH": path}, capture_output=True, text=True, check=False, timeout=30)

    @property
    def asked(self) -> str:
        """What was asked of the programs."""
        return (self.folder / "asked").read_text()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine that has everything."""
    return Machine(tmp_path)


def test_an_old_python_is_named(machine: Machine) -> None:
    """Nothing is installed for it."""
    machine.program("python3", OLD_PYTHON)
    done = machine.make(".make/python")
    assert done.returncode != 0
    assert "Python 3.11 or newer" in done.stderr
    assert "apt-get" not in machine.asked


@pytest.mark.parametrize("version", ["18.20.4", "20.18.1"])
def test_an_old_node_is_named(machine: Machine, version: str) -> None:
    """The oldest that the page's tools run on, and where to get it."""
    real = shutil.which("node")
    machine.program(
        "node", f"exec {real} -e \"Object.defineProperty(process.versions, 'node', {{value: '{version}'}}); $2\""
    )
    done = machine.make(".make/node")
    assert done.returncode != 0
    assert "Node 20.19 or newer" in done.stderr


def test_a_node_without_npm_is_named(machine: Machine) -> None:
    """Debian has them in two packages."""
    machine.program("npm", "exit 127")
    done = machine.make(".make/node")
    assert done.returncode != 0
    assert "with npm" in done.stderr


def test_root_gets_missing_packages_installed(machine: Machine) -> None:
    """python3-venv for the virtual environment, chromium for the page's tests; a second run asks for nothing."""
    machine.program("python3", NO_VENV)
    machine.make(".make/python")
    assert "apt-get install -y -qq --no-install-recommends python3-venv" in machine.asked
    chromium = machine.folder / "chromium"
    machine.program("apt-get", f'touch "{chromium}"; chmod +x "{chromium}"')
    setting = f"CHROMIUM={chromium}"
    assert machine.make(".make/chromium", setting).returncode == 0
    before = machine.asked
    assert "apt-get install -y -qq --no-install-recommends chromium" in before
    assert machine.make(".make/chromium", setting).returncode == 0
    assert machine.asked == before
    chromium.unlink()
    assert machine.make(".make/chromium", setting).returncode == 0
    assert machine.asked != before


def test_others_are_told_which_package_to_install(machine: Machine) -> None:
    """No sudo behind anybody's back."""
    machine.program("id", "echo 1000")
    done = machine.make(".make/chromium", "CHROMIUM=/nowhere/chromium")
    assert done.returncode != 0
    assert "sudo apt-get install chromium" in done.stderr
    assert "apt-get install -y" not in machine.asked


def test_a_failing_apt_get_is_told(machine: Machine) -> None:
    """A machine without network, for instance."""
    machine.program("apt-get", "exit 100")
    done = machine.make(".make/chromium", "CHROMIUM=/nowhere/chromium")
    assert done.returncode != 0
    assert "apt-get could not install chromium" in done.stderr
