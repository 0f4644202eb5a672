"""What is in the image, what is not, and what it says of itself."""

import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.image import PUBLISHED, Files, Image
from support.imageroom import IDLE, Room, room

pytestmark = pytest.mark.timeout(900)  # the first one waits for the build

MEGABYTES = 120
PROGRAMS = re.compile(r"pip[\d.]*|uvx?|node|npm|(.*-)?(gcc|g\+\+|cpp|clang|ld|ld\.bfd)(-\d+)?|cc|c\+\+|as|strip|make")
LIBRARIES = re.compile(r"(pip|setuptools|ensurepip|uv)([-_.].*(info|whl))?")
IMPORT_NATIVE = """
import importlib, pathlib, sysconfig
root = pathlib.Path(sysconfig.get_path("platlib"))
modules = [path.relative_to(root) for path in root.rglob("*.so") if "tests" not in path.parts]
for module in modules:
    importlib.import_module(".".join([*module.parent.parts, module.name.partition(".")[0]]))
print(len(modules))
"""


@pytest.fixture
def idle(image: Image, tmp_path: Path) -> Iterator[Room]:
    """A container in which nothing runs."""
    with room(image, tmp_path, command=IDLE, word="idle") as container:
        yield container


def test_nothing_that_installs_or_compiles_is_left(image: Image) -> None:
    """Whoever gets in finds no tools. The base has a pip."""
    everything = [path for folder in (image.root / "usr", image.root / "opt") for path in folder.rglob("*")]
    programs = [path for path in everything if path.parent.name in {"bin", "sbin"} and PROGRAMS.fullmatch(path.name)]
    assert programs == []
    assert [path for path in everything if LIBRARIES.fullmatch(path.name)] == []


def test_it_is_small(image: Image, base: Files) -> None:
    """In megabytes above its base."""
    assert image.size_above(base) / 1e6 <= MEGABYTES


def test_its_user_is_a_number(image: Image) -> None:
    """By which an orchestrator sees that it is not root; it has a name for those who look."""
    assert image.config["User"] == "10001:10001"
    assert re.search(r"^hookcast:x:10001:10001:", (image.root / "etc/passwd").read_text(), re.MULTILINE)


def test_it_owns_nothing_but_its_volume(image: Image) -> None:
    """What serves cannot be changed by who got in, also where the root is not read-only."""
    entries = [*image.root.rglob("*")]
    owned = [path.relative_to(image.root) for path in entries if 10001 in (path.lstat().st_uid, path.lstat().st_gid)]
    assert owned == [Path("data")]
    assert list(image.config["Volumes"]) == ["/data"]


@pytest.mark.parametrize("bits", [stat.S_ISUID | stat.S_ISGID, stat.S_IWOTH], ids=["setuid", "writable by all"])
def test_it_adds_no_file_with_rights_that_help_an_attacker(image: Image, base: Files, bits: int) -> None:
    """To what its base has."""
    assert image.with_mode(bits) <= base.with_mode(bits)


def test_its_labels_say_what_it_is(image: Image) -> None:
    """Three of them by who publishes it."""
    names = ("title", "description", "licenses", "version", "revision", "source")
    title, description, licence, *published = (
        image.config["Labels"][f"org.opencontainers.image.{name}"] for name in names
    )
    assert (title, licence, published) == ("Hookcast", "MIT", list(PUBLISHED.values()))
    assert "fal.ai" in description


@pytest.mark.parametrize("module", ["hookcast.cli.commands", "hookcast.cli.launch", "hookcast.cli.health"])
def test_a_start_compiles_nothing(idle: Room, module: str) -> None:
    """Neither of ours nor of Python's own library: nothing could be kept, so each start would compile it again."""
    loaded = re.findall(
        r"^# code object from '?([^'\n]+)'?$", idle.run("python", "-vc", f"import {module}").stderr, re.MULTILINE
    )
    assert len(loaded) > 50
    assert [path for path in loaded if path.endswith(".py")] == []


def test_its_native_modules_load(idle: Room) -> None:
    loaded = idle.run("python", "-c", IMPORT_NATIVE)
    assert (loaded.returncode, loaded.stderr) == (0, "")
    assert int(loaded.stdout) > 20
