"""The npm locks of the projects that are built with the packed package; `make` installs from them without a look."""

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
KINDS = ("dependencies", "devDependencies")


def _read(path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / path).read_text())
    return found


@pytest.mark.parametrize(
    "folder", ["examples/nextjs", *(f"tests/projects/{name}" for name in ("vite", "vue", "svelte", "sveltekit"))]
)
def test_a_lock_is_that_of_its_package_json(folder: str) -> None:
    """It wants the same packages, hookcast in the version of this repository, and no address of any registry."""
    wanted, packages = _read(f"{folder}/package.json"), _read(f"{folder}/package-lock.json")["packages"]
    assert [packages[""][kind] for kind in KINDS] == [wanted[kind] for kind in KINDS]
    assert packages["node_modules/hookcast"]["version"] == _read("web/package.json")["version"]
    assert not any("resolved" in package for package in packages.values())
