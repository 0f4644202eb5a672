"""The output of `make build`, and this machine's supported Pythons."""

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
    """Return the Python versions in the package's classifiers."""
    return re.findall(r":: (3\.\d+)", "\n".join(PROJECT["classifiers"]))


def find_pythons() -> dict[str, str]:
    """Return one interpreter for each supported version that the machine has."""
    found = {version: next(_usable(version), None) for version in supported_pythons()}
    return {version: path for version, path in found.items() if path is not None}


def _usable(version: str) -> Iterator[str]:
    for path in _candidates(version):
        command = [path, "-c", _USABLE]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.stdout.strip() == version:  # pyenv has shims for versions that are not installed
            yield path


def _candidates(version: str) -> Iterator[str]:
    on_path = shutil.which(f"python{version}")
    if on_path is not None:
        yield on_path
    yield sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}")))
