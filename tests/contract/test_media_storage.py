"""Every storage of kept files does the same: a directory, and two servers of the S3 protocol."""

import hashlib
import os
import threading
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest

from hookcast.media.copying import Copier, Place
from hookcast.media.failures import Interrupted, Stopped, StorageFailed
from hookcast.media.fetching import Fetcher
from hookcast.media.stopping import Stop
from hookcast.media.storage import Storage, open_storage
from hookcast.media.storage.local import LocalStorage
from support.buckets import BUCKET, CREDENTIALS, Bucket, running_moto, running_s3rver
from support.filehost import FileHost, answer, running_host, says

LARGE = os.urandom(9 * 1024 * 1024)  # more than is put at once
SIZES = {"small": LARGE[:100_000], "large": LARGE}


class Kept(Protocol):
    """A storage seen from outside: by a program that knows nothing of Hookcast."""

    storage: Storage
    atomic: bool  # what came of an upload that broke off is never seen, as in S3

    def everything(self) -> list[str]:
        """Return the keys of all files and drafts."""

    def read(self, key: str) -> tuple[bytes, str | None]:
        """Return a file's content, and its type where the storage has types."""


class KeptInDirectory:
    """A directory."""

    atomic = True

    def __init__(self, root: Path) -> None:
        self._root = root
        self.storage: Storage = open_storage(f"file://{root}", None)

    def everything(self) -> list[str]:
        """See Kept."""
        return [str(path.relative_to(self._root)) for path in self._root.rglob("*") if path.is_file()]

    def read(self, key: str) -> tuple[bytes, str | None]:
        """See Kept."""
        return (self._root / key).read_bytes(), None


class KeptInBucket:
    """A bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._prefix = f"some/{uuid.uuid4().hex}"  # of this test's own
        self.atomic = bucket.atomic
        self.storage: Storage = open_storage(bucket.url(self._prefix), None)

    def everything(self) -> list[str]:
        """See Kept."""
        return [key.removeprefix(f"{self._prefix}/") for key in self._bucket.keys_under(self._prefix)]

    def read(self, key: str) -> tuple[bytes, str | None]:
        """See Kept."""
        return self._bucket.read(f"{self._prefix}/{key}")


@pytest.fixture(scope="module")
def moto() -> Iterator[Bucket]:
    """Run moto for all tests here."""
    with running_moto() as bucket:
        yield bucket


@pytest.fixture(scope="module")
def s3rver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """Run s3rver for all tests here."""
    with running_s3rver(tmp_path_factory.mktemp("s3rver")) as bucket:
        yield bucket


@pytest.fixture(params=["directory", "moto", "s3rver"])
def kept(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    """Yield an empty storage of each kind."""
    if request.param == "directory":
        yield KeptInDirectory(tmp_path / "media")
        return
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    yield KeptInBucket(request.getfixturevalue(request.param))


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


def write(storage: Storage, key: str, content: bytes, *, told: bool = True, content_type: str = "video/mp4") -> None:
    """Write a file in pieces, its length told before or not."""
    draft = storage.begin(key.partition("/")[0], len(content) if told else None, content_type, Stop())
    try:
        for at in range(0, len(content), 1 << 20):
            draft.write(memoryview(content)[at : at + (1 << 20)])
        draft.commit(key)
    finally:
        draft.discard()


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


@pytest.fixture(params=["moto", "s3rver"])
def kept_in_bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> KeptInBucket:
    """Return an empty bucket of each server."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return KeptInBucket(request.getfixturevalue(request.param))


def test_a_presigned_link_gives_the_file_with_its_type(kept_in_bucket: KeptInBucket) -> None:
    for key, content in (("a b/0-x.mp4", LARGE), ("a~2e/1-x.png", b"small")):
        write(kept_in_bucket.storage, key, content, content_type="image/png")
    keys = ["a b/0-x.mp4", "a~2e/1-x.png"]
    for link, content in zip(kept_in_bucket.storage.links(keys, 600), (LARGE, b"small"), strict=True):
        with urllib.request.urlopen(link, timeout=60) as found:  # noqa: S310 - a link of the test's own server
            assert found.read() == content
            assert found.headers["Content-Type"] == "image/png"
    assert kept_in_bucket.storage.links([], 600) == []


def test_no_multipart_upload_is_ever_open(moto: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    storage = open_storage(moto.url("p"), None)
    for told in (True, False):
        draft = storage.begin("a", len(LARGE) if told else None, "video/mp4", Stop())
        draft.write(memoryview(LARGE)[:-1])
        assert "Uploads" not in moto.client.list_multipart_uploads(Bucket=BUCKET)
        draft.discard()
        write(storage, "a/0-x.mp4", LARGE, told=told)
        assert "-" not in moto.client.head_object(Bucket=BUCKET, Key="p/a/0-x.mp4")["ETag"]
    assert "Uploads" not in moto.client.list_multipart_uploads(Bucket=BUCKET)


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_a_bucket_that_does_not_exist_is_told(
    moto: Bucket, monkeypatch: pytest.MonkeyPatch, size: str, told: bool
) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    storage = open_storage(moto.url("p").replace(BUCKET, "absent"), None)
    with pytest.raises(StorageFailed, match=r"NoSuchBucket|not found"):
        write(storage, "a/0-x.mp4", SIZES[size], told=told)
    with pytest.raises(StorageFailed):
        storage.probe()


def test_a_server_that_is_down_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    storage = open_storage(f"s3://{BUCKET}?endpoint=http://127.0.0.1:9", None)
    with pytest.raises(StorageFailed, match="bucket of kept files"):
        write(storage, "a/0-x.mp4", LARGE)


def test_a_key_that_is_not_ours_has_no_path(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path, "https://cdn.example.com")
    for key in ("../a", "a/../../b", "/etc/passwd", "a//b", "", ".", "a/.", "a\\b", "a\0b"):
        with pytest.raises(ValueError, match="not a key"):
            storage.path(key)
