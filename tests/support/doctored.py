"""Altered copies of installed packages: another version, or changed internals. They precede the real on PYTHONPATH."""

import importlib.util
import shutil
from pathlib import Path


def other_version(folder: Path, name: str, version: str) -> Path:
    """Make the package appear to have this version."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return folder


def changed(folder: Path, name: str, module: str, old: str, new: str) -> Path:
    """Copy the package and replace `old`, which must occur, by `new` in a module."""
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
    """Copy the package without one module."""
    changed(folder, name, module, "", "")
    (folder / name / module).unlink()
    return folder
