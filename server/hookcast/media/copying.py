"""One copy, from a result to the storage: the plain loop of one thread, in constant memory."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from msgspec import Struct

from hookcast.media.failures import Left, Reason
from hookcast.media.fetching import Fetcher
from hookcast.media.files import declared_type, inline_content
from hookcast.media.stopping import Stop
from hookcast.media.storage import Draft, Storage, folder_of, key_of
from hookcast.media.types import HEAD, file_type, is_kept
from hookcast.splicing import Spot

# It stays in a core's cache from the socket to the hash and the file: three quarters of the CPU of 1 MiB. A thread that
# hashes beside is no faster on two cores: 0.68 of curl's speed instead of 0.72 (one file), 0.49 instead of 0.53 (four).
BLOCK = 128 * 1024

Progress = Callable[[int, int | None], None]  # (bytes copied, bytes in total or None)


class Copied(Struct, frozen=True):
    """A kept file."""

    key: str
    content_type: str
    bytes: int
    sha256: str


class Place(NamedTuple):
    """Whose file it is: the job, and the file's position among those that its result names."""

    request_id: str
    position: int


class Source(Protocol):
    """A file to copy. `read_into` fills a buffer, and returns fewer bytes only at the end."""

    @property
    def content_type(self) -> str | None:
        """The type that was declared."""

    @property
    def name(self) -> str:
        """The file's name, perhaps empty."""

    @property
    def length(self) -> int | None:
        """The length, None when it is not known."""

    def read_into(self, buffer: memoryview) -> int:
        """Fill the buffer, and return how many bytes are in it."""


class Copier:
    """Copies files into a storage."""

    def __init__(self, fetcher: Fetcher, storage: Storage) -> None:
        self._fetcher = fetcher
        self._storage = storage

    def copy_url(
        self, url: str, place: Place, *, called_a_file: bool, stop: Stop, progress: Progress = lambda *_: None
    ) -> Copied:
        """Copy the file of a URL. Raises Left, Interrupted or Stopped; then nothing is visible."""
        with self._fetcher.get(url, stop) as download:
            return self._copy(download, place, called_a_file, stop, progress)

    def copy_inline(
        self, result: bytes, spot: Spot, source: str, place: Place, *, called_a_file: bool, stop: Stop
    ) -> Copied:
        """Copy the file of the data URI at a spot of a result; `source` is that of Found. Raises as `copy_url` does."""
        inline = _Inline(declared_type(source), inline_content(result, spot))
        return self._copy(inline, place, called_a_file, stop, lambda *_: None)

    def _copy(self, source: Source, place: Place, called_a_file: bool, stop: Stop, progress: Progress) -> Copied:
        buffer = memoryview(bytearray(min(BLOCK, max(source.length or BLOCK, 1))))
        progress(0, source.length)
        count = source.read_into(buffer)
        if count == 0:
            raise Left(Reason.EMPTY, "The file is empty.")
        found = file_type(source.content_type, source.name, bytes(buffer[:HEAD][:count]))
        if not is_kept(found.content_type, called_a_file=called_a_file):
            raise Left(Reason.WRONG_TYPE, f"Files of the type {found.content_type} are not kept.")
        digest, total = hashlib.sha256(), 0
        with self._draft(place, source.length, found.content_type, stop) as draft:
            while count:
                stop.pause()
                digest.update(buffer[:count])
                draft.write(buffer[:count])
                total += count
                progress(total, source.length)
                count = source.read_into(buffer)
            key = key_of(*place, digest.hexdigest(), found.extension)
            draft.commit(key)
        return Copied(key, found.content_type, total, digest.hexdigest())

    @contextmanager
    def _draft(self, place: Place, length: int | None, content_type: str, stop: Stop) -> Iterator[Draft]:
        draft = self._storage.begin(folder_of(place.request_id), length, content_type, stop)
        try:
            yield draft
        finally:
            draft.discard()


class _Inline:
    """The file of a data URI. Its length is not known before it is decoded."""

    name = ""
    length = None

    def __init__(self, content_type: str | None, pieces: Iterator[bytes]) -> None:
        self.content_type = content_type
        self._pieces = pieces
        self._rest = memoryview(b"")

    def read_into(self, buffer: memoryview) -> int:
        """See Source."""
        filled = 0
        while filled < len(buffer):
            if not self._rest:
                self._rest = memoryview(next(self._pieces, b""))
                if not self._rest:
                    break
            count = min(len(self._rest), len(buffer) - filled)
            buffer[filled : filled + count] = self._rest[:count]
            self._rest = self._rest[count:]
            filled += count
        return filled
