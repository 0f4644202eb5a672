"""The folder of a SQLite file: whether a server can use it, and whether it has room."""

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
        raise StoreRefused(f"There is no folder {folder} for the database: make it, or check HOOKCAST_DATABASE_URL.")
    if not os.access(folder, os.W_OK | os.X_OK):  # SQLite makes files beside the database
        raise StoreRefused(f"The folder {folder} of the database is not writable: give it to the user of the server.")
    if file.is_dir():
        raise StoreRefused(f"{file.absolute()} is a folder, not a database file: check HOOKCAST_DATABASE_URL.")
    if file.exists() and not os.access(file, os.R_OK | os.W_OK):
        raise StoreRefused(f"The database {file.absolute()} is not writable: give it to the user of the server.")


def use_space(file: Path) -> None:
    """Write a little beside the file and remove it. Raises the OSError that SQLite does not tell."""
    with tempfile.TemporaryFile(dir=file.absolute().parent, buffering=0) as probe:
        probe.write(bytes(PROBE_BYTES - 1))
        probe.write(b"\0")  # a write that was cut short tells why only the next time


def free_bytes(file: Path) -> int:
    """Return the bytes that are free on the file's disk."""
    return shutil.disk_usage(file.absolute().parent).free
