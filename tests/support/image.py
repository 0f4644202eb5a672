"""Images without a container engine: buildah as root, with a storage of its own in memory."""

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
"""What a publisher says of the image."""


@dataclass(frozen=True)
class Files:
    """A root folder with everything below it."""

    root: Path

    def files(self) -> Iterator[Path]:
        """Everything in it that is no directory; links are not followed."""
        for folder, _, names in os.walk(self.root):
            yield from (Path(folder, name) for name in names)

    def size_above(self, base: "Files") -> int:
        """Bytes in the files that the base does not have, or has otherwise: what lies in the layers above it."""
        return sum(size for _, size, _ in self._contents() - base._contents())

    def _contents(self) -> set[tuple[Path, int, int]]:
        entries = ((path.relative_to(self.root), path.lstat()) for path in self.files())
        return {(path, entry.st_size, int(entry.st_mtime)) for path, entry in entries}

    def with_mode(self, bits: int) -> set[Path]:
        """The files that have one of these bits."""
        found = (path for path in self.files() if not path.is_symlink() and path.stat().st_mode & bits)
        return {path.relative_to(self.root) for path in found}


@dataclass(frozen=True)
class Image(Files):
    """What was built: its files, and its configuration as an engine would read it."""

    config: Mapping[str, Any]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that it sets."""
        return dict(line.split("=", 1) for line in self.config["Env"])


class Buildah:
    """The program, with everything it keeps in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "tmp").mkdir()
        self._environment = {**os.environ, "TMPDIR": str(folder / "tmp")}
        places = ("--root", str(folder / "storage"), "--runroot", str(folder / "run"))
        self._command = ("buildah", *places, "--storage-driver", "vfs")

    def __call__(self, *arguments: str | Path) -> str:
        """Run a command of its; what it prints."""
        command = [*self._command, *map(str, arguments)]
        done = subprocess.run(
            command, env=self._environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def build(self, context: Path, name: str, **arguments: str) -> Image:
        """Build a context's Dockerfile; `arguments` are those of its ARGs."""
        options = ("--isolation=chroot", "--format=docker", "--pull-never", f"--tag={name}")
        given = [f"--build-arg={key}={value}" for key, value in arguments.items()]
        self("build-using-dockerfile", *options, *given, context)
        return self.image(name)

    def image(self, name: str) -> Image:
        """An image of this storage, with its files laid out."""
        config = json.loads(self("inspect", "--type=image", name))["Docker"]["config"]
        return Image(Path(self("mount", self("from", "--pull-never", name))), config)


def make_scratch() -> Path:
    """A folder in memory, for files by the ten thousand. It ends with this process, whatever ends that."""
    leave_mounts()
    folder = WORK / "scratch"
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755,size=4g", "tmpfs", str(folder)], check=True)
    return folder
