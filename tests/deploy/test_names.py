"""Every setting that a file for operators names is one."""

import re
from pathlib import Path

import pytest

from hookcast.settings import PREFIX, ClientSettings, Settings
from support.deploy import ROOT

FILES = [
    path
    for folder in ("deploy", "docs", ".")
    for path in sorted((ROOT / folder).iterdir())
    if path.is_file()
    and (path.suffix in {".md", ".yaml", ".service", ".example"} or path.name in {"Dockerfile", "Caddyfile"})
]
KNOWN = {PREFIX + name.upper() for shape in (Settings, ClientSettings) for name in shape.model_fields}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_setting_that_is_named_exists(path: Path) -> None:
    """A misspelt one would be ignored without a word."""
    assert set(re.findall(rf"\b{PREFIX}[A-Z_]+\b", path.read_text())) <= KNOWN


def test_the_files_are_looked_at() -> None:
    """Those of deploy/ among them."""
    assert {path.name for path in FILES} >= {
        "compose.yaml",
        "kubernetes.yaml",
        "hookcast.service",
        "operations.md",
        ".env.example",
    }
