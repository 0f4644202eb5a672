"""Storages of kept files, each seen from outside."""

import os
import uuid
from pathlib import Path
from typing import Protocol

from hookcast.media.stopping import Stop
from hookcast.media.storage import Storage, open_storage
from support.buckets import KeepingServer

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

    def __init__(self, bucket: KeepingServer) -> None:
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


def write(storage: Storage, key: str, content: bytes, *, told: bool = True, content_type: str = "video/mp4") -> None:
    """Write a file in pieces, its length told before or not."""
    draft = storage.begin(key.partition("/")[0], len(content) if told else None, content_type, Stop())
    try:
        for at in range(0, len(content), 1 << 20):
            draft.write(memoryview(content)[at : at + (1 << 20)])
        draft.commit(key)
    finally:
        draft.discard()
