"""What `.ci/setup` does on a machine that lacks something: each program is a stand-in that says what it was asked."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OLD_PYTHON = "case $2 in *version_info*) exit 1;; esac"
NO_VENV = "case $2 in *ensurepip*) exit 1;; esac"
MAKES_UV = """
case "$2 $3" in "venv --clear") mkdir -p .make/uv/bin && cp "$0" .make/uv/bin/python;; esac
case "$2 $3" in "pip install") cp "$0" .make/uv/bin/uv;; esac
"""


class Machine:
    """A folder with our files, and programs of the test's making in front of the real ones."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._programs = folder / "programs"
        for name in (".ci", "programs", "web"):
            (folder / name).mkdir()
        for name in (".ci/setup", ".ci/uv.txt"):
            shutil.copy(ROOT / name, folder / name)
        self.program("id", "echo 0")
        self.program("npm", "echo 10")
        self.program("python3", MAKES_UV)
        for name in ("node", "apt-get"):
            self.program(name, "")

    def program(self, name: str, script: str) -> None:
        """Put a program there."""
        path = self._programs / name
        path.write_text(f'#!/bin/sh\necho "$(basename "$0") $*" >> "{self.folder}/asked"\n{script}\n')
        path.chmod(0o755)

    def setup(self, *steps: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script there."""
        path = f"{self._programs}:{os.environ['PATH']}"
        command = [str(self.folder / ".ci/setup"), *steps]
        return subprocess.run(
            command, env={"PATH": path, **environment}, capture_output=True, text=True, check=False, timeout=120
        )

    @property
    def asked(self) -> str:
        """What was asked of the programs."""
        return (self.folder / "asked").read_text()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine that has everything but what is installed here."""
    return Machine(tmp_path)


def test_an_old_python_is_named(machine: Machine) -> None:
    machine.program("python3", OLD_PYTHON)
    done = machine.setup("run")
    assert done.returncode == 1
    assert "Python 3.11 or newer" in done.stderr
    assert "venv" not in machine.asked
    assert "apt-get" not in machine.asked


def test_a_missing_python_is_named(machine: Machine) -> None:
    """The name that was looked for is in the message."""
    done = machine.setup("run", PYTHON="python3.99")
    assert done.returncode == 1
    assert "python3.99" in done.stderr


def test_another_python_can_be_named(machine: Machine) -> None:
    """For machines whose python3 is an old one."""
    machine.program("python3", OLD_PYTHON)
    machine.program("python3.13", MAKES_UV)
    assert machine.setup("run", PYTHON="python3.13").returncode == 0
    assert "python3.13 -m venv" in machine.asked


def test_uv_is_one_version_with_its_hashes(machine: Machine) -> None:
    """Whatever is released meanwhile; and nothing is installed twice."""
    assert machine.setup("run").returncode == 0
    assert "-m pip install --quiet --no-deps --require-hashes -r .ci/uv.txt" in machine.asked
    first = machine.asked
    assert machine.setup("run").returncode == 0
    assert "pip install" not in machine.asked.removeprefix(first)


def test_another_version_of_uv_replaces_the_one_that_is_there(machine: Machine) -> None:
    """After an update of the checkout."""
    machine.setup("uv")
    first = machine.asked
    (machine.folder / ".ci/uv.txt").write_text("uv==99")
    machine.setup("uv")
    assert "pip install" in machine.asked.removeprefix(first)


def test_running_needs_no_tools_of_tests(machine: Machine) -> None:
    """`make run` installs what serving needs; `make test` adds the rest."""
    machine.setup("run")
    served = machine.asked
    assert "sync --quiet --locked --inexact" in served
    assert "--no-default-groups" in served
    machine.setup("dev")
    assert "--no-default-groups" not in machine.asked.removeprefix(served)


def test_an_environment_is_kept_though_a_script_starts_python(machine: Machine) -> None:
    """Given the path of a pyenv shim, uv would recreate it; it gets that of the interpreter."""
    machine.program("python3", MAKES_UV + "case $2 in *sys.executable*) echo /real/python3;; esac")
    assert machine.setup("run").returncode == 0
    assert "--python /real/python3" in machine.asked


def test_a_failing_pypi_is_told(machine: Machine) -> None:
    """A machine without network, for instance."""
    machine.program("python3", MAKES_UV + 'case "$3" in install) exit 1;; esac')
    done = machine.setup("run")
    assert done.returncode == 1
    assert "PyPI did not give uv. Is the network there?" in done.stderr


def test_packages_that_cannot_be_installed_are_told(machine: Machine) -> None:
    """What uv itself says stands above."""
    machine.program("python3", MAKES_UV + 'case "$1" in sync) exit 2;; esac')
    done = machine.setup("run")
    assert done.returncode == 1
    assert "Is the network there?" in done.stderr


@pytest.mark.parametrize("version", ["18.20.4", "20.18.1"])
def test_an_old_node_is_named(machine: Machine, version: str) -> None:
    """The oldest that the page's tools run on, and where to get it."""
    real = shutil.which("node")
    machine.program(
        "node", f"exec {real} -e \"Object.defineProperty(process.versions, 'node', {{value: '{version}'}}); $2\""
    )
    done = machine.setup("npm:web")
    assert done.returncode == 1
    assert "Node 20.19 or newer" in done.stderr


def test_a_node_without_npm_is_named(machine: Machine) -> None:
    """Debian has them in two packages."""
    machine.program("npm", "exit 127")
    done = machine.setup("npm:web")
    assert done.returncode == 1
    assert "with npm" in done.stderr


def test_a_failing_npm_is_told(machine: Machine) -> None:
    machine.program("npm", 'case "$1" in ci) exit 1;; esac')
    done = machine.setup("npm:web")
    assert done.returncode == 1
    assert "The npm packages of web are not installed" in done.stderr


def test_root_gets_missing_packages_installed(machine: Machine) -> None:
    """Together, and what is there already is left alone."""
    machine.program("haproxy", "")
    assert machine.setup("haproxy", "no-such-one", "nor-this").returncode == 0
    assert "apt-get install -y -qq --no-install-recommends no-such-one nor-this" in machine.asked


def test_one_name_stands_for_several_packages(machine: Machine) -> None:
    """Which the tests of one kind need together."""
    machine.program("ruby", "exit 1")
    assert machine.setup("rails").returncode == 0
    assert " ruby-railties ruby-activerecord ruby-sqlite3\n" in machine.asked


def test_python_without_venv_gets_it(machine: Machine) -> None:
    """Debian has it in a package of its own."""
    machine.program("python3", NO_VENV + MAKES_UV)
    machine.setup("run")
    assert "apt-get install -y -qq --no-install-recommends python3-venv" in machine.asked


def test_others_are_told_which_package_to_install(machine: Machine) -> None:
    """No sudo behind anybody's back."""
    machine.program("id", "echo 1000")
    done = machine.setup("no-such-one")
    assert done.returncode == 1
    assert "sudo apt-get install no-such-one" in done.stderr
    assert "apt-get install -y" not in machine.asked


def test_a_failing_apt_get_is_told(machine: Machine) -> None:
    """A machine without network, for instance."""
    machine.program("apt-get", "exit 100")
    done = machine.setup("no-such-one")
    assert done.returncode == 1
    assert "apt-get could not install no-such-one" in done.stderr
