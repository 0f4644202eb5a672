"""One copy, from a host to a directory."""

import base64
import hashlib
import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hookcast.media.copying import Copied, Copier, Place
from hookcast.media.failures import Interrupted, Left, Reason, Stopped, StorageFailed
from hookcast.media.fetching import Fetcher
from hookcast.media.files import files
from hookcast.media.stopping import Stop
from hookcast.media.storage.local import LocalStorage
from support.filehost import FileHost, answer, says
from support.shapes import PNG_URI

PNG = base64.b64decode(PNG_URI.partition(",")[2])
BIG = b"\x89PNG\r\n\x1a\n" + os.urandom(3_000_000)
PLACE = Place("019f-a", 2)


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    """Return a directory's storage."""
    return LocalStorage(tmp_path / "media", "https://cdn.example.com/media/")


@pytest.fixture
def copy(storage: LocalStorage, host: FileHost) -> Callable[..., Copied]:
    """Return a function that copies a path of the host."""
    copier = Copier(Fetcher(allow_local=True, max_bytes=50_000_000), storage)

    def copied(path: str, **options: object) -> Copied:
        options = {"called_a_file": False, "stop": Stop(), **options}
        return copier.copy_url(f"{host.url}{path}", PLACE, **options)  # type: ignore[arg-type] # tests pass the right ones

    return copied


def nothing_is_left(storage: LocalStorage) -> bool:
    """Return whether the storage has neither files nor drafts."""
    incoming = storage.path("incoming")
    return not list(storage.files()) and not (incoming.is_dir() and list(incoming.iterdir()))


def test_a_file_is_copied_under_a_key_of_ours(
    host: FileHost, storage: LocalStorage, copy: Callable[..., Copied]
) -> None:
    host.scripts["/../evil.html"] = says(answer(BIG, "Content-Type: text/html"))
    progress: list[tuple[int, int | None]] = []
    copied = copy("/../evil.html", progress=lambda done, total: progress.append((done, total)))
    digest = hashlib.sha256(BIG).hexdigest()
    assert copied == Copied(f"019f-a/2-{digest[:16]}.png", "image/png", len(BIG), digest)
    assert storage.path(copied.key).read_bytes() == BIG
    assert progress[-1] == (len(BIG), len(BIG))
    assert [done for done, _ in progress] == sorted({done for done, _ in progress})
    assert list(storage.path("incoming").iterdir()) == []
    assert storage.links([copied.key], 60) == [f"https://cdn.example.com/media/{copied.key}"]


def test_a_second_copy_of_the_same_is_the_same_file(
    host: FileHost, storage: LocalStorage, copy: Callable[..., Copied]
) -> None:
    host.scripts["/a.png"] = says(answer(BIG))
    assert copy("/a.png") == copy("/a.png")
    assert len(list(storage.files())) == 1


@pytest.mark.parametrize(
    ("content", "header", "reason"),
    [
        (b"<!doctype html><html>", "image/png", Reason.WRONG_TYPE),
        (b'{"a": 1}', "application/json", Reason.WRONG_TYPE),
        (b"", "image/png", Reason.EMPTY),
    ],
)
def test_what_is_no_file_is_left(
    host: FileHost, copy: Callable[..., Copied], content: bytes, header: str, reason: Reason
) -> None:
    host.scripts["/a"] = says(answer(content, f"Content-Type: {header}"))
    with pytest.raises(Left) as left:
        copy("/a")
    assert left.value.reason is reason


def test_json_that_the_result_calls_a_file_is_kept(host: FileHost, copy: Callable[..., Copied]) -> None:
    host.scripts["/config.json"] = says(answer(b'{"a": 1}', "Content-Type: application/json"))
    assert copy("/config.json", called_a_file=True).content_type == "application/json"


def test_of_a_copy_that_breaks_off_nothing_is_left(
    host: FileHost, storage: LocalStorage, copy: Callable[..., Copied]
) -> None:
    seen: list[bool] = []
    host.scripts["/cut"] = says(answer(BIG, length=len(BIG) + 1))
    with pytest.raises(Interrupted):
        copy("/cut", progress=lambda *_: seen.append(bool(list(storage.files()))))
    assert seen == [False] * len(seen)
    assert nothing_is_left(storage)


def test_a_stopped_copy_leaves_nothing(host: FileHost, storage: LocalStorage, copy: Callable[..., Copied]) -> None:
    stop = Stop()

    def script(sock: socket.socket) -> None:
        sock.sendall(answer(BIG[:2_000_000], length=len(BIG)))
        host.ended.wait(60)

    host.scripts["/a"] = script
    with pytest.raises(Stopped):
        copy("/a", stop=stop, progress=lambda *_: stop.set())
    assert nothing_is_left(storage)


def test_a_data_uri_becomes_a_file(storage: LocalStorage) -> None:
    result = json.dumps({"images": [{"url": PNG_URI}]}).encode()
    [found] = files(result)
    copier = Copier(Fetcher(allow_local=False, max_bytes=1), storage)
    copied = copier.copy_inline(result, found.spots[0], found.source, PLACE, called_a_file=False, stop=Stop())
    assert (copied.content_type, copied.bytes) == ("image/png", len(PNG))
    assert storage.path(copied.key).read_bytes() == PNG


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, host: FileHost) -> None:
    """The largest file that the process may write stands in for the disk."""
    host.scripts["/a"] = says(answer(BIG))
    program = f"""
import resource, signal
from pathlib import Path
from hookcast.media.copying import Copier, Place
from hookcast.media.failures import StorageFailed
from hookcast.media.fetching import Fetcher
from hookcast.media.stopping import Stop
from hookcast.media.storage.local import LocalStorage
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, resource.RLIM_INFINITY))
copier = Copier(Fetcher(allow_local=True, max_bytes=50_000_000), LocalStorage(Path({str(tmp_path)!r}), ""))
try:
    copier.copy_url({host.url + "/a"!r}, Place("a", 0), called_a_file=False, stop=Stop())
except StorageFailed as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.startswith("The directory of kept files failed to take a file: File too large")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_directory_that_cannot_be_written_is_told(host: FileHost, tmp_path: Path) -> None:
    host.scripts["/a"] = says(answer(BIG))
    (tmp_path / "media").write_text("in the way")
    copier = Copier(Fetcher(allow_local=True, max_bytes=50_000_000), LocalStorage(tmp_path / "media", ""))
    with pytest.raises(StorageFailed, match="directory of kept files"):
        copier.copy_url(f"{host.url}/a", PLACE, called_a_file=False, stop=Stop())


def test_a_copy_takes_the_same_memory_whatever_its_size(host: FileHost, copy: Callable[..., Copied]) -> None:
    block = BIG[: 1 << 20]

    def script(sock: socket.socket) -> None:
        sock.sendall(answer(b"", length=40 << 20))
        for _ in range(40):
            sock.sendall(block)

    host.scripts["/a"] = script
    copy("/a")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    copy("/a")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 << 10  # KiB
