"""The files of the workers' metrics, which prometheus_client writes (its documentation, "Multiprocess Mode")."""

import sys
from contextlib import suppress
from pathlib import Path

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that prometheus_client reads when it is imported."""

FILE_BYTES = 64 * 1024  # what prometheus_client begins a file with; all series of a worker take less
_USED_BYTES = 4  # of an integer at its beginning, which says how much of it is in use
_GAUGES = ("livesum", "livemax", "livemin", "livemostrecent")
_FILES = ("counter", "histogram", *(f"gauge_{mode}" for mode in _GAUGES))


def take_room(folder: Path, pid: int) -> None:
    """Allocate the files of a process that has just begun. Raises OSError if there is no room, and leaves none of them.

    prometheus_client would create sparse files and map them into memory. There, a write for which the disk has no room
    ends the process (SIGBUS).
    """
    files = [folder / f"{name}_{pid}.db" for name in _FILES]
    try:
        for file in files:
            with file.open("ab") as opened:
                opened.write(bytes(max(0, FILE_BYTES - opened.tell())))
    except OSError:
        for file in files:
            file.unlink(missing_ok=True)
        raise


def forget(folder: Path, pid: int) -> None:
    """Remove the gauges of a process that has ended, as Prometheus' `mark_process_dead` does.

    Its counters stay; the room that they do not use is given back. What cannot be changed is left as it is: a failure
    would end the parent, and with it all workers.
    """
    for file in folder.glob(f"gauge_live*_{pid}.db"):
        with suppress(OSError):
            file.unlink()
    for file in folder.glob(f"*_{pid}.db"):
        with suppress(OSError), file.open("rb+") as opened:
            used = int.from_bytes(opened.read(_USED_BYTES), sys.byteorder)
            opened.truncate(used or _USED_BYTES)
