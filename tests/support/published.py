"""What `make build` made, and the Pythons of this machine that it is for."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.readmes import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSION: str = PROJECT["version"]
WHEEL = ROOT / f"dist/hookcast-{VERSION}-py3-none-any.whl"
SDIST = ROOT / f"dist/hookcast-{VERSION}.tar.gz"
NPM_PACKAGE = ROOT / "server/hookcast/static/hookcast.tgz"
UVX = ROOT / ".make/uv/bin/uvx"
_USABLE = "import ensurepip, sys; print('%d.%d' % sys.version_info[:2])"


def supported_pythons() -> list[str]:
    """The versions that the package says it runs on."""
    return re.findall(r":: (3\.\d+)", "\n".join(PROJECT["classifiers"]))


def find_pythons() -> dict[str, str]:
    """Of each supported version one interpreter, if the machine has it."""
    found = {version: next(_usable(version), None) for version in supported_pythons()}
    return {version: path for version, path in found.items() if path is not None}


def _usable(version: str) -> Iterator[str]:
    for path in _candidates(version):
        command = [path, "-c", _USABLE]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.stdout.strip() == version:  # a shim of pyenv may be there for a version that is not
            yield path


def _candidates(version: str) -> Iterator[str]:
    on_path = shutil.which(f"python{version}")
    if on_path is not None:
        yield on_path
    yield sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}")))
