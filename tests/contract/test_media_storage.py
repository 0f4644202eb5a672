"""Every storage of kept files does the same: a directory, and buckets of S3 (two servers), of Google and of Azure.

Google's server is a stand-in: `support/gcs.py` says what it stands for.
"""

import hashlib
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hookcast.media.copying import Copier, Place
from hookcast.media.failures import Interrupted, Stopped
from hookcast.media.fetching import Fetcher
from hookcast.media.stopping import Stop
from support.buckets import KeepingServer
from support.filehost import FileHost, answer, running_host, says
from support.kept import LARGE, SIZES, Kept, KeptInBucket, KeptInDirectory, write


@pytest.fixture(params=["directory", "moto", "s3rver", "gcs", "azurite"])
def kept(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    """Yield an empty storage of each kind."""
    if request.param == "directory":
        yield KeptInDirectory(tmp_path / "media")
        return
    bucket: KeepingServer = request.getfixturevalue(request.param)
    for name, value in bucket.credentials.items():
        monkeypatch.setenv(name, value)
    yield KeptInBucket(bucket)


@pytest.fixture
def host() -> Iterator[FileHost]:
    """Run a host of files."""
    with running_host() as running:
        yield running


def nothing_is_left(kept: Kept) -> bool:
    """Return whether the storage has neither files nor drafts."""
    assert list(kept.storage.files()) == []
    if not kept.atomic:
        kept.storage.sweep(datetime.now(UTC) + timedelta(hours=1))
    return kept.everything() == []


@pytest.mark.parametrize("told", [True, False], ids=["length told", "length unknown"])
@pytest.mark.parametrize("size", SIZES)
def test_a_file_is_there_whole_once_it_is_committed(kept: Kept, size: str, told: bool) -> None:
    content = SIZES[size]
    storage, key = kept.storage, "019f-a~2e/0-abc.mp4"
    draft = storage.begin("a", len(content) if told else None, "video/mp4", Stop())
    draft.write(memoryview(content)[:50_000])
    assert storage.find(key) is None
    draft.write(memoryview(content)[50_000:])
    assert storage.find(key) is None
    assert list(storage.files()) == []
    draft.commit(key)
    draft.discard()
    read, content_type = kept.read(key)
    assert hashlib.sha256(read).digest() == hashlib.sha256(content).digest()
    assert content_type in {"video/mp4", None}
    assert kept.everything() == [key]
    found = storage.find(key)
    assert found is not None
    assert (found.key, found.bytes) == (key, len(content))
    assert abs(found.modified - datetime.now(UTC)) < timedelta(minutes=5)


@pytest.mark.parametrize("size", SIZES)
def test_the_same_key_again_replaces_the_file(kept: Kept, size: str) -> None:
    write(kept.storage, "a/0-abc.mp4", b"old")
    write(kept.storage, "a/0-abc.mp4", SIZES[size])
    assert kept.read("a/0-abc.mp4")[0] == SIZES[size]
    assert kept.everything() == ["a/0-abc.mp4"]


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_of_a_draft_that_is_discarded_nothing_is_left(kept: Kept, size: str, told: bool) -> None:
    content = SIZES[size]
    draft = kept.storage.begin("a", len(content) if told else None, "video/mp4", Stop())
    draft.write(memoryview(content)[: len(content) // 2])
    draft.discard()
    draft.discard()
    assert nothing_is_left(kept)


def test_files_are_listed_by_folder_and_altogether(kept: Kept) -> None:
    for key in ("a/0-x.png", "a/1-x.png", "ab/0-x.png"):
        write(kept.storage, key, key.encode())
    assert sorted(stored.key for stored in kept.storage.files("a")) == ["a/0-x.png", "a/1-x.png"]
    assert sorted(stored.key for stored in kept.storage.files()) == ["a/0-x.png", "a/1-x.png", "ab/0-x.png"]
    assert list(kept.storage.files("none")) == []


def test_a_folder_is_removed_and_no_other(kept: Kept) -> None:
    for key in ("a/0-x.png", "a/1-x.png", "ab/0-x.png"):
        write(kept.storage, key, key.encode())
    assert kept.storage.delete("a") == 2
    assert kept.storage.delete("a") == 0
    assert kept.everything() == ["ab/0-x.png"]


def test_drafts_that_a_crash_left_are_swept_once_they_are_old(kept: Kept) -> None:
    write(kept.storage, "a/0-x.png", b"kept")
    write(kept.storage, "incoming/0123", b"left behind")
    assert [stored.key for stored in kept.storage.files()] == ["a/0-x.png"]
    assert kept.storage.sweep(datetime.now(UTC) - timedelta(hours=1)) == 0
    assert kept.storage.sweep(datetime.now(UTC) + timedelta(hours=1)) == 1
    assert kept.everything() == ["a/0-x.png"]


def test_drafts_of_a_folder_are_discarded_and_no_other_s(kept: Kept) -> None:
    """Those of attempts that ended with their process, which nobody else will remove."""
    for name in ("a.01", "a.02", "ab.01", "b~2e.01"):
        write(kept.storage, f"incoming/{name}", b"left behind")
    write(kept.storage, "a/0-x.png", b"kept")
    kept.storage.discard("a")
    kept.storage.discard("a")
    assert sorted(kept.everything()) == ["a/0-x.png", "incoming/ab.01", "incoming/b~2e.01"]
    kept.storage.delete("ab")
    assert sorted(kept.everything()) == ["a/0-x.png", "incoming/b~2e.01"]


def test_files_are_removed_by_their_keys(kept: Kept) -> None:
    for key in ("a/0-x.png", "a/1-x.png", "b/0-x.png"):
        write(kept.storage, key, key.encode())
    kept.storage.remove(["a/0-x.png", "b/0-x.png"])
    kept.storage.remove(["a/0-x.png"])
    kept.storage.remove([])
    assert kept.everything() == ["a/1-x.png"]


def test_a_file_that_is_gone_already_keeps_no_other_from_its_removal(kept: Kept) -> None:
    keys = [f"a/{number}-x.png" for number in range(30)]
    for key in keys:
        write(kept.storage, key, b"kept")
    kept.storage.remove(["a/0-gone.png", *keys[:15], "a/1-gone.png", *keys[15:]])
    assert kept.everything() == []


def test_a_probe_leaves_nothing(kept: Kept) -> None:
    kept.storage.probe()
    assert kept.everything() == []


def test_a_copy_of_a_host_s_file_arrives_whole(kept: Kept, host: FileHost) -> None:
    host.scripts["/a.mp4"] = says(answer(LARGE, "Content-Type: video/mp4"))
    copier = Copier(Fetcher(allow_local=True, max_bytes=1 << 30), kept.storage)
    copied = copier.copy_url(f"{host.url}/a.mp4", Place("j", 0), called_a_file=True, stop=Stop())
    content, _ = kept.read(copied.key)
    assert hashlib.sha256(content).hexdigest() == copied.sha256 == hashlib.sha256(LARGE).hexdigest()
    assert kept.everything() == [copied.key]


@pytest.mark.parametrize("length", [len(LARGE), None], ids=["told", "unknown"])
def test_a_host_that_breaks_off_leaves_nothing(kept: Kept, host: FileHost, length: int | None) -> None:
    chunked = () if length else ("Transfer-Encoding: chunked",)
    host.scripts["/a.mp4"] = says(
        answer(b"" if chunked else LARGE[:5_000_000], *chunked, length=length), b"ffffff\r\nab"
    )
    copier = Copier(Fetcher(allow_local=True, max_bytes=1 << 30), kept.storage)
    with pytest.raises(Interrupted):
        copier.copy_url(f"{host.url}/a.mp4", Place("j", 0), called_a_file=True, stop=Stop())
    assert nothing_is_left(kept)


def test_a_stopped_copy_leaves_nothing(kept: Kept, host: FileHost) -> None:
    host.scripts["/a.mp4"] = says(answer(LARGE))
    copier = Copier(Fetcher(allow_local=True, max_bytes=1 << 30), kept.storage)
    stop = Stop()
    with pytest.raises(Stopped):
        copier.copy_url(
            f"{host.url}/a.mp4",
            Place("j", 0),
            called_a_file=True,
            stop=stop,
            progress=lambda done, _: stop.set() if done > 3_000_000 else None,
        )
    assert nothing_is_left(kept)


def test_copies_at_once_do_not_mix(kept: Kept) -> None:
    contents = {f"a/{number}-x.bin": os.urandom(200_000 * (number + 1)) for number in range(4)}
    threads = [threading.Thread(target=write, args=(kept.storage, *item)) for item in contents.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {key: kept.read(key)[0] for key in kept.everything()} == contents
