"""What is in the archives that a release uploads."""

import os
import re
import subprocess
import sys
import tarfile
from email.message import Message
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

from support.published import NPM_PACKAGE, PROJECT, SDIST, VERSION, WHEEL
from support.readmes import ROOT

pytestmark = pytest.mark.timeout(200)  # a build downloads its tool, on a busy machine
INFO = f"hookcast-{VERSION}.dist-info"
LINK = re.compile(r"\]\(([^)]+)\)")


@pytest.fixture
def metadata() -> Message:
    """What PyPI reads of the wheel."""
    with ZipFile(WHEEL) as wheel:
        return Parser().parsestr(wheel.read(f"{INFO}/METADATA").decode())


def _files(archive: Path) -> dict[str, int]:
    """Each with the checksum of its content, but for those that name the tool that packed them."""
    tools = {f"{INFO}/WHEEL", f"{INFO}/RECORD"}
    with ZipFile(archive) as wheel:
        return {
            file.filename: file.CRC for file in wheel.infolist() if not file.is_dir() and file.filename not in tools
        }


def test_the_wheel_has_what_a_checkout_has_and_nothing_else() -> None:
    """Every file of the package, the built page among them; no tests and no leftovers."""
    folder = ROOT / "server"
    ours = {str(path.relative_to(folder)) for path in (folder / "hookcast").rglob("*") if path.is_file()}
    packed = set(_files(WHEEL))
    described = {name for name in packed if name.startswith(f"{INFO}/")}
    assert packed - described == {name for name in ours if "__pycache__" not in name}
    assert {f"{INFO}/licenses/LICENSE", f"{INFO}/entry_points.txt"} < described
    page = {f"hookcast/static/{name}" for name in ("index.html", "hookcast.js", "hookcast.tgz")}
    assert page | {"hookcast/py.typed"} < packed


def test_pip_builds_the_same_wheel_from_the_source_distribution(tmp_path: Path) -> None:
    """It needs no Node: the built page is inside."""
    programs = tmp_path / "environment/bin"
    subprocess.run([sys.executable, "-m", "venv", programs.parent], check=True)
    pip = [str(programs / "python"), "-m", "pip", "wheel", "--quiet", "--no-deps", str(SDIST)]
    subprocess.run(pip, cwd=tmp_path, check=True, env={**os.environ, "PATH": str(programs)})
    assert _files(tmp_path / WHEEL.name) == _files(WHEEL)


def test_the_source_distribution_has_sources_and_no_tests() -> None:
    """With the changelog, and the page built."""
    with tarfile.open(SDIST) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "LICENSE", "CHANGELOG.md", "server/hookcast/static/index.html"} < names
    assert {name for name in names if not name.startswith("server")} <= {
        *("", "PKG-INFO", "pyproject.toml", "pyproject.toml.orig", "LICENSE", "CHANGELOG.md")
    }


def test_the_metadata_says_what_pypi_shows(metadata: Message) -> None:
    """Licence, links, and a version that is the same for Python and npm."""
    assert (metadata["Version"], metadata["License-Expression"]) == (VERSION, "MIT")
    assert {line.partition(",")[0] for line in metadata.get_all("Project-URL", [])} == set(PROJECT["urls"])
    assert f'"version": "{VERSION}"' in (ROOT / "web/package.json").read_text()


def test_every_link_of_pypis_page_works_there(metadata: Message) -> None:
    """A relative one leads nowhere."""
    assert metadata["Description-Content-Type"] == "text/markdown"
    links = LINK.findall(str(metadata.get_payload()))
    assert links
    assert [link for link in links if not link.startswith("https://")] == []


def test_the_npm_package_has_the_same_bytes_whenever_it_is_built(tmp_path: Path) -> None:
    """So that whoever doubts a published one can build it."""
    subprocess.run(["npm", "pack", "--silent", "--pack-destination", tmp_path], cwd=ROOT / "web", check=True)
    assert (tmp_path / f"hookcast-{VERSION}.tgz").read_bytes() == NPM_PACKAGE.read_bytes()
