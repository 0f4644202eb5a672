#!/usr/bin/env python3
"""Check that a tag can be released, and print its release notes: `.github/release.py v0.1.0`."""

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "server/README.md", "web/README.md", "examples/nextjs/README.md")
TOO_EARLY = "Until the first release"


def main(tag: str) -> None:
    """Print the release notes of `tag`, or exit with 1 and one line per problem."""
    section = _section(tag)
    wrong = list(_wrong(tag, section))
    if wrong:
        sys.exit("\n".join(wrong))
    sys.stdout.write(section.strip() + "\n")


def _section(tag: str) -> str:
    """Return the changelog section of the version, or "" if there is none with a date."""
    changelog = (ROOT / "CHANGELOG.md").read_text()
    heading = rf"^## {re.escape(tag.removeprefix('v'))} \(\d{{4}}-\d\d-\d\d\)$"
    found = re.search(rf"{heading}\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    return found.group(1) if found else ""


def _wrong(tag: str, section: str) -> Iterator[str]:
    if not re.fullmatch(r"v\d+\.\d+\.\d+", tag):
        yield f"{tag} is not a tag such as v0.1.0."
    versions = {
        "pyproject.toml": tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"],
        "web/package.json": json.loads((ROOT / "web/package.json").read_text())["version"],
    }
    for file, version in versions.items():
        if f"v{version}" != tag:
            yield f"{file} has version {version}, not that of {tag}."
    if not section.strip():
        yield f"CHANGELOG.md has no section with the version of {tag} and a date, such as: ## 0.1.0 (2026-12-24)"
    for page in PAGES:
        if TOO_EARLY in (ROOT / page).read_text():
            yield f"{page} still says: {TOO_EARLY}"


if __name__ == "__main__":
    main(*sys.argv[1:])
