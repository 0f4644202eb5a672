"""A PostgreSQL that can run out of room: on a small disk of its own where one may be mounted, else by a file limit."""

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
FILE_BYTES = 64 * 1024  # the log of PostgreSQL (WAL) is longer, and so will be the jobs


class Room(Protocol):
    """What is left for the server's files."""

    def fill(self) -> None:
        """Nothing is left."""

    def free(self) -> None:
        """There is room again."""


class Disk:
    """Filled by a file that is of no use."""

    def __init__(self, folder: Path) -> None:
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Until not one more page goes in."""
        with self._ballast.open("wb", buffering=0) as file:
            for size in PIECES:
                with suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def free(self) -> None:
        """Remove it."""
        self._ballast.unlink()


class FileLimit:
    """The kernel's limit of a file's size: a full disk for the processes of one server, whoever runs the tests."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    def fill(self) -> None:
        """No file grows past the limit; it holds for all processes, and for those that they start."""
        self._postgres.limit_files(FILE_BYTES)

    def free(self) -> None:
        """Take the limit away."""
        if self._postgres.running:  # else the next one begins without
            self._postgres.limit_files(None)


@contextmanager
def running_postgres_with_room(*, mount: bool = True) -> Iterator[tuple[Postgres, Room]]:
    """A server, and its room; `mount` = on a small disk, if that is allowed."""
    folder = Path(tempfile.mkdtemp(prefix="hookcast-disk-"))
    mounted = mount and _mounted(folder)
    try:
        with running_postgres(folder if mounted else None) as postgres:
            yield postgres, Disk(folder) if mounted else FileLimit(postgres)
    finally:
        if mounted:
            subprocess.run(["umount", folder], timeout=SECONDS, check=True)
        shutil.rmtree(folder)


def _mounted(folder: Path) -> bool:
    if os.getuid() != 0:
        return False
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0755", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, timeout=SECONDS, check=False).returncode == 0
