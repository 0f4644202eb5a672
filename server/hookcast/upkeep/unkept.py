"""Completes jobs whose files nobody copies any more: the durable work `keep` on a node without a storage.

`HOOKCAST_MEDIA_URL` was taken away while files were being copied. Another node may still have it, as in the middle of a
deployment, so this one takes only what has waited for `OVERDUE_SECONDS`.
"""

from msgspec.structs import replace

from hookcast.consequences import Kind
from hookcast.dispatcher import Dispatcher
from hookcast.jobs import Kept, MediaFile, MediaStatus
from hookcast.logs import get_logger
from hookcast.store import JobStore, Piece
from hookcast.upkeep.worker import Done, Handler, Outcome

OVERDUE_SECONDS = 600.0
MAX_AT_ONCE = 4
MAX_SECONDS = 60.0
NO_STORAGE = "This server keeps no files any more: HOOKCAST_MEDIA_URL is not set."
_log = get_logger(__name__)


class Unkept:
    """Leaves the files of results where they are."""

    def __init__(self, store: JobStore, dispatcher: Dispatcher) -> None:
        self._store = store
        self._dispatcher = dispatcher

    def handlers(self) -> dict[str, Handler]:
        """Return the handler of the work `keep`."""
        return {Kind.KEEP: Handler(self.leave, MAX_AT_ONCE, MAX_SECONDS, OVERDUE_SECONDS)}

    async def leave(self, piece: Piece) -> Outcome:
        """Complete the job with fal's links to the files that are not kept yet."""
        job = await self._store.whole(piece.request_id)
        if job is not None and job.keeping and job.result is not None:
            _log.warning("files_left", request_id=job.request_id, reason=NO_STORAGE)
            await self._dispatcher.apply(job.request_id, Kept(job.result, tuple(map(_left, job.media)), untidy=True))
        return Done()


def _left(file: MediaFile) -> MediaFile:
    if file.status.settled:
        return file
    return replace(file, status=MediaStatus.LEFT, bytes=0, error=NO_STORAGE)
