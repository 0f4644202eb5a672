"""Files in a bucket, through obstore.

A large file is one PUT to a presigned URL of a draft, which is then copied to its key by the storage itself: no
multipart upload, so none can stay open, and its bytes pass in constant memory. A small file is put under its key.
"""

import contextlib
import io
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from typing import IO
from urllib.parse import quote

import obstore
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from hookcast.media.failures import StorageFailed
from hookcast.media.stopping import Stop
from hookcast.media.storage.base import Storage, Stored
from hookcast.media.storage.names import INCOMING, draft_name
from hookcast.media.storage.pending import wait_for_copy
from hookcast.media.storage.uploading import Upload

SMALL = 8 * 1024 * 1024  # bytes: at most that much of a copy is held in memory
UPLOAD_TIME = timedelta(hours=1)  # for the request to arrive; it may take longer
BLOCK = 256 * 1024
_BATCH = 1000  # keys removed by one request
_ROUNDS = 3
_PANIC = "PanicException"  # no Exception, and not to be imported: object_store's, on credentials that fit no header


@contextlib.contextmanager
def _failures(doing: str) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        if not (isinstance(error, BaseError | OSError | ValueError) or type(error).__name__ == _PANIC):
            raise
        reason = " ".join(str(error).partition("Debug source")[0].split())
        raise StorageFailed(f"The bucket of kept files failed {doing}: {reason[:500]}") from error


class ObjectStorage(Storage):
    """Files in a bucket of S3, Google Cloud Storage or Azure. Without `public_url`, links are presigned."""

    def __init__(self, store: S3Store | GCSStore | AzureStore, public_url: str | None) -> None:
        self._store = store
        self._public_url = public_url and public_url.rstrip("/")
        self._headers = {"x-ms-blob-type": "BlockBlob"} if isinstance(store, AzureStore) else {}

    def begin(self, folder: str, length: int | None, content_type: str, stop: Stop) -> "ObjectDraft | UploadedDraft":
        """See Storage."""
        if length is None or length <= SMALL:
            return ObjectDraft(self, content_type, stop)
        return UploadedDraft(self, folder, length, content_type, stop)

    def delete(self, folder: str) -> int:
        """See Storage."""
        count = 0
        for _ in range(_ROUNDS):  # a copy on another node may end meanwhile
            keys = [stored.key for stored in self.files(folder)]
            self.remove(keys)
            count += len(keys)
            if not keys:
                self.discard(folder)
                return count
        raise StorageFailed("The bucket of kept files still lists files that were removed.")

    def files(self, folder: str = "") -> Iterator[Stored]:
        """See Storage."""
        yield from (stored for stored in self._listed(folder) if not stored.key.startswith(f"{INCOMING}/"))

    def drafts(self) -> Iterator[Stored]:
        """See Storage."""
        return self._listed(INCOMING)

    def find(self, key: str) -> Stored | None:
        """See Storage."""
        with _failures("to find a file"):
            try:
                found = obstore.head(self._store, key)
            except FileNotFoundError:
                return None
            return Stored(key, found["size"], found["last_modified"])

    def links(self, keys: list[str], seconds: int) -> list[str]:
        """See Storage. Signing takes 10 µs a link, and a request when credentials of a role have to be renewed."""
        if self._public_url:
            return [f"{self._public_url}/{quote(key)}" for key in keys]
        with _failures("to sign links"):
            return list(obstore.sign(self._store, "GET", keys, timedelta(seconds=seconds))) if keys else []

    def probe(self) -> None:
        """See Storage."""
        names = draft_name(""), draft_name("")
        try:
            self._try_out(*names)
        except StorageFailed:
            for name in names:
                self.remove_draft(name)
            raise

    def _try_out(self, draft: str, copy: str) -> None:
        content = memoryview(draft.encode())
        upload = self.upload(draft, len(content), "application/octet-stream", Stop())
        try:
            upload.send(content)
            upload.finish()
        finally:
            upload.close()
        self.copy(draft, copy)
        next(self._listed(INCOMING), None)  # a permission of its own
        with _failures("to read a file"):
            if bytes(obstore.get(self._store, copy).bytes()) != bytes(content):
                raise StorageFailed("The bucket of kept files returned other bytes than it was given.")
        self.remove([draft, copy])

    def put(self, key: str, content: memoryview, content_type: str) -> None:
        """Store a small file at once."""
        with _failures("to take a file"):
            attributes = {"Content-Type": content_type}
            obstore.put(self._store, key, content, attributes=attributes, use_multipart=False)

    def upload(self, key: str, length: int, content_type: str, stop: Stop) -> Upload:
        """Begin to upload a file of any size."""
        with _failures("to sign an upload"):
            url = obstore.sign(self._store, "PUT", key, UPLOAD_TIME)
        return Upload(url, length, {"Content-Type": content_type, **self._headers}, stop)

    def copy(self, source: str, key: str) -> None:
        """Copy a file inside the storage, with its type."""
        with _failures("to finish a file"):
            obstore.copy(self._store, source, key)
            if isinstance(self._store, AzureStore):
                wait_for_copy(obstore.sign(self._store, "GET", key, UPLOAD_TIME))

    def remove_draft(self, name: str) -> None:
        """Remove a draft if it is there; a failure leaves it to `sweep`."""
        with contextlib.suppress(StorageFailed):
            self.remove([name])

    def remove(self, keys: list[str]) -> None:
        """See Storage."""
        with _failures("to remove files"):
            for at in range(0, len(keys), _BATCH):
                try:
                    obstore.delete(self._store, keys[at : at + _BATCH])
                except FileNotFoundError:  # Google and Azure stop at a file that somebody else has just removed
                    self._remove_each(keys[at : at + _BATCH])

    def _remove_each(self, keys: list[str]) -> None:
        for key in keys:
            with contextlib.suppress(FileNotFoundError):
                obstore.delete(self._store, key)

    def _listed(self, folder: str) -> Iterator[Stored]:
        with _failures("to list files"):
            for page in obstore.list(self._store, folder or None, chunk_size=_BATCH):
                for found in page:
                    yield Stored(found["path"], found["size"], found["last_modified"])


class ObjectDraft:
    """See Draft. A file that is small or whose length is not known: in memory, beyond `SMALL` in a temporary file."""

    def __init__(self, storage: ObjectStorage, content_type: str, stop: Stop) -> None:
        self._storage = storage
        self._content_type = content_type
        self._stop = stop
        self._memory = io.BytesIO()
        self._file: IO[bytes] | None = None

    def write(self, data: memoryview) -> None:
        """See Draft."""
        with _failures("to take a file, in the directory of temporary files,"):
            if self._file is None and self._memory.tell() + len(data) > SMALL:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by discard
                _write(self._file, self._memory.getbuffer())
                self._memory = io.BytesIO()
            if self._file is None:
                self._memory.write(data)
            else:
                _write(self._file, data)

    def commit(self, key: str) -> None:
        """See Draft."""
        if self._file is None:
            self._storage.put(key, self._memory.getbuffer(), self._content_type)
        else:
            self._upload(key, self._file)
        self.discard()

    def discard(self) -> None:
        """See Draft."""
        self._memory = io.BytesIO()
        if self._file is not None:
            self._file.close()

    def _upload(self, key: str, file: IO[bytes]) -> None:
        """Upload the file under its key: one PUT is seen whole, or not at all."""
        upload = self._storage.upload(key, file.tell(), self._content_type, self._stop)
        file.seek(0)
        try:
            while block := file.read(BLOCK):
                upload.send(memoryview(block))
            upload.finish()
        finally:
            upload.close()


def _write(file: IO[bytes], data: memoryview) -> None:
    """Write all of the data to an unbuffered file."""
    while data:
        data = data[file.write(data) :]


class UploadedDraft:
    """See Draft. A large file of known length: uploaded while it comes."""

    def __init__(self, storage: ObjectStorage, folder: str, length: int, content_type: str, stop: Stop) -> None:
        self._storage = storage
        self._name = draft_name(folder)
        self._upload = storage.upload(self._name, length, content_type, stop)
        self._done = False

    def write(self, data: memoryview) -> None:
        """See Draft."""
        self._upload.send(data)

    def commit(self, key: str) -> None:
        """See Draft."""
        self._upload.finish()
        self._storage.copy(self._name, key)
        self.discard()

    def discard(self) -> None:
        """See Draft."""
        if not self._done:
            self._done = True
            self._upload.close()
            self._storage.remove_draft(self._name)
