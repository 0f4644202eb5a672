"""What a release checks before it builds anything, and whether the workflows fit the package."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.published import supported_pythons
from support.readmes import ROOT

PAGES = ("README.md", "server/README.md", "web/README.md", "examples/nextjs/README.md")
FILES = (".github/release.py", "CHANGELOG.md", "pyproject.toml", "web/package.json", *PAGES)


class Checkout:
    """A copy of what is checked, ready to be released as v1.2.3."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in FILES:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        self.edit("pyproject.toml", r'^version = ".*"$', 'version = "1.2.3"')
        self.edit("web/package.json", r'^  "version": ".*",$', '  "version": "1.2.3",')
        self.write(
            "CHANGELOG.md", "# Changelog\n\n## 1.2.3 (2026-12-24)\n\n- A star.\n\n## 1.2.2 (2026-12-23)\n\n- None.\n"
        )
        for page in PAGES:
            self.edit(page, "Until the first release", "")

    def write(self, name: str, text: str) -> None:
        """Put a text into a file."""
        (self._folder / name).write_text(text)

    def edit(self, name: str, pattern: str, replacement: str) -> None:
        """Replace what matches."""
        text = (self._folder / name).read_text()
        self.write(name, re.sub(pattern, replacement, text, flags=re.MULTILINE))

    def release(self, tag: str) -> subprocess.CompletedProcess[str]:
        """Check it."""
        command = [sys.executable, str(self._folder / ".github/release.py"), tag]
        return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """One that can be released."""
    return Checkout(tmp_path)


def test_the_notes_of_a_release_are_its_section_of_the_changelog(checkout: Checkout) -> None:
    done = checkout.release("v1.2.3")
    assert (done.returncode, done.stdout, done.stderr) == (0, "- A star.\n", "")


@pytest.mark.parametrize("tag", ["v1.2.4", "1.2.3", "v1.2.3rc1", "v1.2"])
def test_a_tag_of_another_version_is_refused(checkout: Checkout, tag: str) -> None:
    """Or one that is no version at all."""
    done = checkout.release(tag)
    assert (done.returncode, done.stdout) == (1, "")
    assert tag in done.stderr


@pytest.mark.parametrize(
    ("file", "pattern", "replacement"),
    [
        ("pyproject.toml", r'^version = ".*"$', 'version = "1.2.4"'),
        ("web/package.json", r'^  "version": ".*",$', '  "version": "1.2.4",'),
        ("CHANGELOG.md", "2026-12-24", "unreleased"),
        ("CHANGELOG.md", "^- A star.$", ""),
        ("README.md", r"\A", "Until the first release, build it yourself.\n"),
    ],
)
def test_what_was_forgotten_is_named(checkout: Checkout, file: str, pattern: str, replacement: str) -> None:
    """A line for each file."""
    checkout.edit(file, pattern, replacement)
    done = checkout.release("v1.2.3")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(file)
    assert len(done.stderr.splitlines()) == 1


def test_the_workflow_runs_every_python_that_the_package_names() -> None:
    """Debian 12 brings the oldest one."""
    matrix = re.search(r"version: \[(.*)\]", (ROOT / ".github/workflows/ci.yml").read_text())
    assert matrix is not None
    assert ["3.11", *re.findall(r"[\d.]+", matrix.group(1))] == supported_pythons()
