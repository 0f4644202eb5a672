"""The parts that keep files on a node."""

import time
from typing import NamedTuple

from hookcast.media.copying import Copier
from hookcast.media.fetching import Fetcher
from hookcast.media.linking import Links
from hookcast.media.storage import Storage, open_storage
from hookcast.media.turns import Turns


class Media(NamedTuple):
    """The storage, what copies files to it, the turns of these copies, and the links to its files."""

    storage: Storage
    copier: Copier
    turns: Turns
    links: Links


def open_media(
    url: str,
    public_url: str | None,
    *,
    served_at: str,
    link_seconds: int,
    max_bytes: int,
    concurrency: int,
    allow_local: bool,
) -> Media:
    """Return the parts for the storage at `url`. Raises ValueError, which says what the URL must be.

    Nothing is connected to yet. This server serves the files of a directory at `served_at`. `allow_local` permits
    files of loopback addresses: for the emulated fal.
    """
    storage = open_storage(url, public_url, served_at)
    copier = Copier(Fetcher(allow_local=allow_local, max_bytes=max_bytes), storage)
    return Media(storage, copier, Turns(concurrency), Links(storage, link_seconds, time.monotonic))
