"""Images without a container engine: buildah as root, with its storage in memory."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.imagespaces import leave_mounts

ROOT = Path(__file__).parents[2]
WORK = ROOT / ".make" / "image"
SECONDS = 600
PUBLISHED = {"VERSION": "1.2.3", "REVISION": "0123abc", "SOURCE": "https://example.com/hookcast"}
"""Build arguments that a publisher sets."""


@dataclass(frozen=True)
class Files:
    """A root folder with everything below it."""

    root: Path

    def files(self) -> Iterator[Path]:
        """Yield everything below it that is not a directory; links are not followed."""
        for folder, _, names in os.walk(self.root):
            yield from (Path(folder, name) for name in names)

    def size_above(self, base: "Files") -> int:
        """Return the bytes in files that are missing from the base or differ: the size of the layers above it."""
        return sum(size for _, size, _ in self._contents() - base._contents())

    def _contents(self) -> set[tuple[Path, int, int]]:
        entries = ((path.relative_to(self.root), path.lstat()) for path in self.files())
        return {(path, entry.st_size, int(entry.st_mtime)) for path, entry in entries}

    def with_mode(self, bits: int) -> set[Path]:
        """Return the files with any of these mode bits."""
        found = (path for path in self.files() if not path.is_symlink() and path.stat().st_mode & bits)
        return {path.relative_to(self.root) for path in found}


@dataclass(frozen=True)
class Image(Files):
    """A built image: its files and its configuration."""

    config: Mapping[str, Any]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the image sets."""
        return dict(line.split("=", 1) for line in self.config["Env"])


class Buildah:
    """The buildah command, with all its state in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "tmp").mkdir()
        self._environment = {**os.environ, "TMPDIR": str(folder / "tmp")}
        places = ("--root", str(folder / "storage"), "--runroot", str(folder / "run"))
        self._command = ("buildah", *places, "--storage-driver", "vfs")

    def __call__(self, *arguments: str | Path) -> str:
        """Run a buildah command, and return its stdout."""
        command = [*self._command, *map(str, arguments)]
        done = subprocess.run(
            command, env=self._environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def build(self, context: Path, name: str, **arguments: str) -> Image:
        """Build a context's Dockerfile; `arguments` are its build arguments."""
        options = ("--isolation=chroot", "--format=docker", "--pull-never", f"--tag={name}")
        given = [f"--build-arg={key}={value}" for key, value in arguments.items()]
        self("build-using-dockerfile", *options, *given, context)
        return self.image(name)

    def image(self, name: str) -> Image:
        """Return an image of this storage, with its files mounted."""
        config = json.loads(self("inspect", "--type=image", name))["Docker"]["config"]
        return Image(Path(self("mount", self("from", "--pull-never", name))), config)


def make_scratch() -> Path:
    """Mount a folder in memory for tens of thousands of files. It vanishes with this process, however that ends."""
    leave_mounts()
    folder = WORK / "scratch"
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755,size=4g", "tmpfs", str(folder)], check=True)
    return folder
