"""The files of the workers' metrics: the room that they take, and what is left of a worker that died."""

import os
from itertools import product
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import mark_process_dead

from hookcast.supervisor.metrics import FILE_BYTES, forget, take_room
from support.room import small_disk


def test_the_room_of_the_metrics_is_taken_on_the_disk(tmp_path: Path) -> None:
    """A file without content would find out too late that the disk is full."""
    take_room(tmp_path, 12)
    files = [file.stat() for file in tmp_path.iterdir()]
    for file in tmp_path.iterdir():  # a file system may choose the places only now
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
    assert files
    assert all(file.st_size == FILE_BYTES for file in files)
    assert all(file.stat().st_blocks * 512 >= FILE_BYTES for file in tmp_path.iterdir())


def test_where_there_is_no_room_nothing_is_left() -> None:
    """On a disk that takes the first files only."""
    with small_disk(f"{2 * FILE_BYTES}") as (folder, disk):
        place = folder if disk is not None else folder / "gone"
        with pytest.raises(OSError):  # noqa: PT011 - which one depends on the disk
            take_room(place, 12)
        assert [*folder.iterdir()] == []


def test_what_a_worker_has_counted_outlives_it_in_little_room(tmp_path: Path) -> None:
    """Also when a later worker gets its pid."""
    file = tmp_path / "counter_12.db"
    take_room(tmp_path, 12)
    counts = MmapedDict(str(file))  # type: ignore[no-untyped-call]
    counts.write_value("states", 3.0, 0.0)  # type: ignore[no-untyped-call]
    counts.close()  # type: ignore[no-untyped-call]
    forget(tmp_path, 12)
    assert counted(file) == [("states", 3.0)]
    assert file.stat().st_size < 100
    take_room(tmp_path, 12)
    assert counted(file) == [("states", 3.0)]
    assert file.stat().st_size == FILE_BYTES


def test_a_file_that_cannot_be_changed_does_not_end_the_parent(tmp_path: Path) -> None:
    """The others are forgotten all the same."""
    for name in ("counter_12.db", "gauge_livemin_12.db"):
        (tmp_path / name).mkdir()
    (tmp_path / "gauge_livesum_12.db").touch()
    forget(tmp_path, 12)
    assert {file.name for file in tmp_path.iterdir()} == {"counter_12.db", "gauge_livemin_12.db"}


def counted(file: Path) -> list[tuple[str, float]]:
    """Return the values in a file, as the process that is scraped reads them."""
    found = MmapedDict.read_all_values_from_file(str(file))  # type: ignore[no-untyped-call]
    return [(key.strip(), value) for key, value, *_ in found]


def test_of_a_worker_that_died_the_same_metrics_are_forgotten_as_by_prometheus(tmp_path: Path) -> None:
    """The gauges of living processes; counters, and those of other processes, stay."""
    kinds = ("counter", "histogram", "summary", "gauge_all", "gauge_max", "gauge_mostrecent")
    living = ("gauge_liveall", "gauge_livesum", "gauge_livemin", "gauge_livemax", "gauge_livemostrecent")
    for folder in (ours := tmp_path / "ours", theirs := tmp_path / "theirs"):
        folder.mkdir()
        for kind, pid in product((*kinds, *living), (12, 112, 120)):
            (folder / f"{kind}_{pid}.db").touch()
    forget(ours, 12)
    mark_process_dead(12, path=str(theirs))  # type: ignore[no-untyped-call]
    left = {file.name for file in theirs.iterdir()}
    assert {file.name for file in ours.iterdir()} == left
    assert len(left) == 3 * len((*kinds, *living)) - len(living)
