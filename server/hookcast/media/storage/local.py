"""Files in a directory. A file is written to `incoming/`, flushed to the disk, then renamed to its key."""

import contextlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from hookcast.media.failures import StorageFailed
from hookcast.media.stopping import Stop
from hookcast.media.storage.base import Storage, Stored
from hookcast.media.storage.names import INCOMING, draft_name

FLUSHED_AT_ONCE = 8 * 1024 * 1024


@contextlib.contextmanager
def _failures(doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageFailed(f"The directory of kept files failed {doing}: {error.strerror or error}.") from error


class LocalStorage(Storage):
    """Files below `root`, on one node or on a file system that all nodes share. Links begin with `public_url`."""

    def __init__(self, root: Path, public_url: str) -> None:
        self.root = root
        self._public_url = public_url.rstrip("/")

    def begin(self, folder: str, length: int | None, content_type: str, stop: Stop) -> "LocalDraft":  # noqa: ARG002
        """See Storage."""
        with _failures("to begin a file"):
            (self.root / INCOMING).mkdir(parents=True, exist_ok=True)
            return LocalDraft(self.root, folder)

    def delete(self, folder: str) -> int:
        """See Storage."""
        with _failures("to remove files"):
            count = _emptied(self.path(folder))
            with contextlib.suppress(FileNotFoundError):
                self.path(folder).rmdir()
        self.discard(folder)
        return count

    def remove(self, keys: list[str]) -> None:
        """See Storage."""
        with _failures("to remove files"):
            for key in keys:
                self.path(key).unlink(missing_ok=True)

    def files(self, folder: str = "") -> Iterator[Stored]:
        """See Storage."""
        with _failures("to list files"):
            folders = [folder] if folder else [entry.name for entry in _entries(self.root) if entry.name != INCOMING]
        for name in folders:
            yield from self._listed(name)

    def drafts(self) -> Iterator[Stored]:
        """See Storage."""
        return self._listed(INCOMING)

    def find(self, key: str) -> Stored | None:
        """See Storage."""
        with _failures("to find a file"):
            try:
                status = self.path(key).stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
            return Stored(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    def links(self, keys: list[str], seconds: int) -> list[str]:  # noqa: ARG002 - these links do not end
        """See Storage."""
        return [f"{self._public_url}/{quote(key)}" for key in keys]

    def probe(self) -> None:
        """See Storage."""
        draft, key = self.begin("", None, "application/octet-stream", Stop()), draft_name("")
        try:
            draft.write(memoryview(key.encode()))
            draft.commit(key)
            with _failures("to read a file"):
                if self.path(key).read_text() != key:
                    raise StorageFailed("The directory of kept files returned other bytes than it was given.")
        finally:
            draft.discard()
            self.path(key).unlink(missing_ok=True)

    def path(self, key: str) -> Path:
        """Return where the file of a key is. Raise ValueError for a key that cannot be ours."""
        if any(part in {"", ".", ".."} or "\\" in part or "\0" in part for part in key.split("/")):
            raise ValueError("not a key of the storage")
        return self.root / key

    def _listed(self, folder: str) -> Iterator[Stored]:
        with _failures("to list files"):
            for entry in _entries(self.root / folder):
                if (found := self.find(f"{folder}/{entry.name}")) is not None:
                    yield found


class LocalDraft:
    """See Draft."""

    def __init__(self, root: Path, folder: str) -> None:
        self.root = root
        self._path = root / draft_name(folder)
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        self._file = os.open(self._path, flags, 0o644)
        self._open = True
        self._written = self._flushed = 0

    def write(self, data: memoryview) -> None:
        """See Draft."""
        with _failures("to take a file"):
            while data:
                count = os.write(self._file, data)
                self._written += count
                data = data[count:]
            if self._written - self._flushed >= FLUSHED_AT_ONCE and hasattr(os, "posix_fadvise"):
                # Linux starts to write these pages and does not wait: the flush at the end finds most of it done.
                os.posix_fadvise(self._file, self._flushed, self._written - self._flushed, os.POSIX_FADV_DONTNEED)
                self._flushed = self._written

    def commit(self, key: str) -> None:
        """See Draft."""
        with _failures("to finish a file"):
            os.fsync(self._file)
            self._close()
            goal = self.root / key
            made = _made(goal.parent)
            self._path.replace(goal)
            _flush_directory(goal.parent)
            if made:  # last: most file systems have flushed it with the other one
                _flush_directory(self.root)

    def discard(self) -> None:
        """See Draft."""
        with contextlib.suppress(OSError):
            self._close()
            self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._open:
            self._open = False
            os.close(self._file)


def _made(folder: Path) -> bool:
    """Make a folder, and return whether it was not there."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
        return True
    return False


def _flush_directory(path: Path) -> None:
    """Make the names in a directory survive a power failure."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _entries(folder: Path) -> Iterator["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as found:
            yield from found
    except (FileNotFoundError, NotADirectoryError):
        return


def _emptied(folder: Path) -> int:
    count = 0
    for entry in _entries(folder):
        with contextlib.suppress(FileNotFoundError):
            Path(entry.path).unlink()
            count += 1
    return count
