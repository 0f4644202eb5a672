"""The folder of a SQLite file: checks that it is usable and has space."""

import os
import shutil
import tempfile
from pathlib import Path

from hookcast.errors import StoreRefused

PROBE_BYTES = 128 * 1024


def check_file(file: Path) -> None:
    """Raise StoreRefused, with the remedy, unless the file can be opened or made, and written."""
    folder = file.absolute().parent
    if not folder.is_dir():
        raise StoreRefused(f"There is no folder {folder} for the database: create it, or check HOOKCAST_DATABASE_URL.")
    if not os.access(folder, os.W_OK | os.X_OK):  # SQLite creates files next to the database
        raise StoreRefused(
            f"The folder {folder} of the database is not writable: make it writable for the server's user."
        )
    if file.is_dir():
        raise StoreRefused(f"{file.absolute()} is a folder, not a database file: check HOOKCAST_DATABASE_URL.")
    if file.exists() and not os.access(file, os.R_OK | os.W_OK):
        raise StoreRefused(f"The database {file.absolute()} is not writable: make it writable for the server's user.")


def use_space(file: Path) -> None:
    """Write a little next to the file and remove it. Raises the OSError that SQLite does not report."""
    with tempfile.TemporaryFile(dir=file.absolute().parent, buffering=0) as probe:
        probe.write(bytes(PROBE_BYTES - 1))
        probe.write(b"\0")  # after a short write, only the next write reports the cause


def free_bytes(file: Path) -> int:
    """Return the bytes that are free on the file's disk."""
    return shutil.disk_usage(file.absolute().parent).free
