"""What every storage can do. All calls block: they run in threads. They raise StorageFailed."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple, Protocol

from hookcast.media.stopping import Stop
from hookcast.media.storage.names import draft_prefix


class Stored(NamedTuple):
    """A file in the storage."""

    key: str
    bytes: int
    modified: datetime  # aware


class Draft(Protocol):
    """A file that is being written. Nobody sees it before `commit`, which is atomic; then `key` has all of it."""

    def write(self, data: memoryview) -> None:
        """Append data; the caller may change the buffer afterwards."""

    def commit(self, key: str) -> None:
        """Finish the file under its key, durably. A file that is there already is replaced."""

    def discard(self) -> None:
        """Remove what was written, also after an error. Idempotent, no effect after `commit`; raises nothing."""


class Storage(Protocol):
    """Files by key: `folder/name`. Drafts lie under `incoming/` until they are committed."""

    def begin(self, folder: str, length: int | None, content_type: str, stop: Stop) -> Draft:
        """Begin a file of `length` bytes for a folder, None when the length is not known."""

    def delete(self, folder: str) -> int:
        """Remove all files of a folder, its drafts too, and return how many files there were. Idempotent."""

    def discard(self, folder: str) -> None:
        """Remove the drafts of a folder: those of attempts that have ended, perhaps with their process."""
        prefix = draft_prefix(folder)
        self.remove([stored.key for stored in self.drafts() if stored.key.startswith(prefix)])

    def remove(self, keys: list[str]) -> None:
        """Remove files. Idempotent."""

    def files(self, folder: str = "") -> Iterator[Stored]:
        """Yield the files of a folder, or of all folders, without drafts; in no order."""

    def drafts(self) -> Iterator[Stored]:
        """Yield the drafts, each with the time when it was last written."""

    def find(self, key: str) -> Stored | None:
        """Return the file with this key, None when there is none."""

    def sweep(self, before: datetime) -> int:
        """Remove drafts that were last written before a time, which crashes leave behind; return how many."""
        old = [stored.key for stored in self.drafts() if stored.modified < before]
        self.remove(old)
        return len(old)

    def links(self, keys: list[str], seconds: int) -> list[str]:
        """Return a link for each key, valid for `seconds` at least where links end. Does not look whether it exists."""

    def probe(self) -> None:
        """Write, read and delete a small file, the same way as a copy does."""
