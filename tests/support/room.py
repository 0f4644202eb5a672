"""A PostgreSQL whose disk can fill up: a small disk of its own where mounting is allowed, else a file size limit."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from support.postgres import Postgres, running_postgres

SECONDS = 120
DISK = "192m"
PIECES = (1024 * 1024, 4096)
FILE_BYTES = 64 * 1024  # below the size of a WAL file, and of the jobs' table later


class Room(Protocol):
    """The space left for the server's files."""

    def fill(self) -> None:
        """Use up all space."""

    def free(self) -> None:
        """Make space again."""


class Disk:
    """A small disk, filled by a ballast file."""

    def __init__(self, folder: Path) -> None:
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Fill the disk to the last page."""
        with self._ballast.open("wb", buffering=0) as file:
            for size in PIECES:
                with suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def free(self) -> None:
        """Remove the ballast file."""
        self._ballast.unlink()


class FileLimit:
    """The kernel's file size limit: simulates a full disk for one server's processes, without root."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    def fill(self) -> None:
        """Set the limit for all processes of the server; their children inherit it."""
        self._postgres.limit_files(FILE_BYTES)

    def free(self) -> None:
        """Remove the limit."""
        if self._postgres.running:  # otherwise the next start has no limit
            self._postgres.limit_files(None)


@contextmanager
def running_postgres_with_room(*, mount: bool = True) -> Iterator[tuple[Postgres, Room]]:
    """Run a server, and yield it with its space; `mount` = on a small disk, if mounting is allowed."""
    folder = Path(tempfile.mkdtemp(prefix="hookcast-disk-"))
    mounted = mount and _mounted(folder)
    try:
        with running_postgres(folder if mounted else None) as postgres:
            yield postgres, Disk(folder) if mounted else FileLimit(postgres)
    finally:
        if mounted:
            subprocess.run(["umount", folder], timeout=SECONDS, check=True)
        shutil.rmtree(folder)


@contextmanager
def small_disk(size: str) -> Iterator[tuple[Path, Disk | None]]:
    """Yield a folder on a disk of its own, if mounting is allowed; else on the machine's, which is never full."""
    folder = Path(tempfile.mkdtemp(prefix="hookcast-disk-"))
    mounted = _mounted(folder, size)
    try:
        yield folder, Disk(folder) if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", folder], timeout=SECONDS, check=True)
        shutil.rmtree(folder)


def _mounted(folder: Path, size: str = DISK) -> bool:
    if os.getuid() != 0:
        return False
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, timeout=SECONDS, check=False).returncode == 0
