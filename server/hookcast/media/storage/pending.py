"""Waits for a copy inside Azure: its answer may come before the copy is done, which object_store does not look at."""

import time
from contextlib import closing
from http.client import HTTPException
from urllib.parse import urlsplit

from hookcast.media.failures import StorageFailed
from hookcast.media.storage.uploading import SILENCE_SECONDS, connection_to

COPY_SECONDS = 300.0  # as long as the other storages may take for theirs
PAUSE_SECONDS = 0.2


def wait_for_copy(url: str) -> None:
    """Return once the copy is done; `url` is signed for reading, which includes HEAD. Raises StorageFailed."""
    deadline = time.monotonic() + COPY_SECONDS
    while (status := _status(url)) == "pending" and time.monotonic() < deadline:
        time.sleep(PAUSE_SECONDS)
    if status not in {"success", None}:  # None: replaced by the same file since
        raise StorageFailed(f"The bucket of kept files failed to finish a file: its copy is {status[:50]}.")


def _status(url: str) -> str | None:
    parts = urlsplit(url)
    try:
        with closing(connection_to(parts)) as connection:
            connection.connect()
            connection.sock.settimeout(SILENCE_SECONDS)
            connection.request("HEAD", f"{parts.path}?{parts.query}")
            answer = connection.getresponse()
    except (OSError, HTTPException) as error:
        raise StorageFailed(f"The bucket of kept files failed to finish a file: {error}.") from error
    if answer.status != 200:
        raise StorageFailed(f"The bucket of kept files answered {answer.status} to a question about a copy.")
    return answer.getheader("x-ms-copy-status")
