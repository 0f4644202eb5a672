"""Installed packages as they are not: of another version, or with something changed inside. Put first by PYTHONPATH."""

import importlib.util
import shutil
from pathlib import Path


def other_version(folder: Path, name: str, version: str) -> Path:
    """Let the package seem to be of this version."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return folder


def changed(folder: Path, name: str, module: str, old: str, new: str) -> Path:
    """A copy of the package in which a module says something else; it must have said `old`."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    shutil.copytree(Path(spec.origin).parent, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / name / module
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return folder


def without(folder: Path, name: str, module: str) -> Path:
    """A copy of the package that lacks a module."""
    changed(folder, name, module, "", "")
    (folder / name / module).unlink()
    return folder
