"""Keeps the files of results: the durable work `keep`, `relink` for older jobs, and `erase` once a job is removed.

A file that is copied again has the same key, so that an attempt may end anywhere and be repeated on any node.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from hookcast.dispatcher import Dispatcher
from hookcast.jobs import Clock, Copying, Job, JobStatus, Kept, MediaFile, MediaStatus, Relinked
from hookcast.keeping import named_files
from hookcast.links import DATA, without_data
from hookcast.logs import get_logger
from hookcast.media.copying import Copied, Copier, Place
from hookcast.media.failures import Interrupted, Left
from hookcast.media.parts import Media
from hookcast.media.stopping import Stop
from hookcast.media.storage import folder_of
from hookcast.store import JobStore, Piece
from hookcast.upkeep.worker import Done, Later, Outcome

REPORT_SECONDS = 0.5  # between two states of a job whose files are copied
MAX_PAUSE_SECONDS = 300.0  # between two attempts
GIVE_UP_AFTER = timedelta(hours=24)  # of a file that can be neither copied nor refused; fal's links live for days
MAX_JOBS = 64  # at once on a node; how many copies run is the operator's choice
MAX_RELINKS = 2  # jobs at once on a node, beside those that users wait for
MAX_COPY_SECONDS = 24 * 3600.0  # of one attempt
MAX_ERASE_SECONDS = 600.0

_T = TypeVar("_T")
_log = get_logger(__name__)


class Tally(Protocol):
    """Counts copies."""

    def copied(self, count: int, seconds: float) -> None:
        """Count a file of `count` bytes that was copied."""

    def not_copied(self, reason: str) -> None:
        """Count an attempt that failed."""


class _Facts(Struct, omit_defaults=True):
    """The facts of a piece: the last pause, the time of the first attempt; the files so far, if no job has them."""

    pause: float = 0.0
    since: datetime | None = None
    media: tuple[MediaFile, ...] = ()


class Keeper:
    """Copies the files of results to the storage, and removes them."""

    def __init__(self, store: JobStore, dispatcher: Dispatcher, media: Media, clock: Clock, tally: Tally) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._storage = media.storage
        self._copier = media.copier
        self._turns = media.turns
        self._clock = clock
        self._tally = tally

    async def keep(self, piece: Piece) -> Outcome:
        """Copy the files of a job that are not settled; it is Done when the job is completed, or gone."""
        job = await self._store.whole(piece.request_id)
        if job is None or not job.keeping or job.result is None:
            return Done()
        return await self._attempt(piece, job, _Copies(job.request_id, job.result, job.media))

    async def relink(self, piece: Piece) -> Outcome:
        """Copy the files of a job that was completed without them, and put links to them into its result."""
        job = await self._store.whole(piece.request_id)
        if job is None:  # removed since, perhaps while an attempt copied
            return await self.erase(piece)
        if job.status is not JobStatus.COMPLETED or job.media or job.result is None:
            return Done()
        facts = msgspec.json.decode(piece.facts, type=_Facts)
        files = facts.media or await asyncio.to_thread(named_files, job.result)
        return await self._attempt(piece, job, _Copies(job.request_id, job.result, files))

    async def erase(self, piece: Piece) -> Outcome:
        """Remove the files of a job that was removed."""
        count = await self._turns.run(piece.request_id, lambda _: self._storage.delete(folder_of(piece.request_id)))
        _log.info("files_removed", request_id=piece.request_id, files=count)
        return Done()

    async def _attempt(self, piece: Piece, job: Job, copies: "_Copies") -> Outcome:
        facts = msgspec.json.decode(piece.facts, type=_Facts)
        facts.since = facts.since or self._clock()
        if piece.attempts > 1:
            await self._in_turn(job, lambda _: self._storage.discard(folder_of(job.request_id)))
        wait = await self._copied(job, copies)
        if wait is not None and self._clock() - facts.since < GIVE_UP_AFTER:
            facts.pause = min(max(facts.pause, 0.5) * 2, MAX_PAUSE_SECONDS)
            facts.media = () if job.keeping else copies.told()
            return Later(max(facts.pause, wait), msgspec.json.encode(facts).decode())
        if await self._end(job, copies, again=piece.attempts > 1):
            return Done()
        return await self.erase(piece)

    async def _copied(self, job: Job, copies: "_Copies") -> float | None:
        """Copy what is not settled, telling watchers; return the least seconds until another attempt, None = done."""
        todo = [number for number, file in enumerate(copies.files) if not file.status.settled]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._copy(job, copies, number)) for number in todo]
            while any(not task.done() for task in tasks):
                await asyncio.wait(tasks, timeout=REPORT_SECONDS)
                if copies.news and any(not task.done() for task in tasks):
                    await self._tell(job, copies)
        waits = [wait for task in tasks if (wait := task.result()) is not None]
        if waits:
            await self._tell(job, copies)
        return min(waits, default=None)

    async def _tell(self, job: Job, copies: "_Copies") -> None:
        """Tell watchers how far the files are; nobody waits for those of a job that was completed before."""
        if job.keeping:
            await self._dispatcher.apply(job.request_id, Copying(copies.told()))

    async def _copy(self, job: Job, copies: "_Copies", number: int) -> float | None:
        """Copy one file; return None once it is settled, else the least seconds until another attempt."""
        try:
            copied = await self._in_turn(job, partial(self._counted, copies, number))
        except Left as error:
            self._tally.not_copied(error.reason)
            copies.set(number, status=MediaStatus.LEFT, bytes=0, error=str(error))
            _log.info("file_left", request_id=job.request_id, file=number, reason=error.reason, error=str(error))
        except Interrupted as error:
            self._tally.not_copied(error.reason)
            copies.set(number, status=MediaStatus.WAITING, bytes=0, error=str(error))
            _log.warning("file_not_copied", request_id=job.request_id, file=number, reason=str(error))
            return error.after or 0.0
        else:
            copies.set(
                number,
                status=MediaStatus.KEPT,
                key=copied.key,
                content_type=copied.content_type,
                bytes=copied.bytes,
                size=copied.bytes,
                sha256=copied.sha256,
                error=None,
            )
        return None

    def _counted(self, copies: "_Copies", number: int, stop: Stop) -> Copied:
        began = time.monotonic()
        copied = copies.copy(self._copier, number, stop)
        self._tally.copied(copied.bytes, time.monotonic() - began)
        return copied

    async def _end(self, job: Job, copies: "_Copies", *, again: bool) -> bool:
        """Settle the files: those that could not be copied in time are left. Return whether the job is still there."""
        for number, file in enumerate(copies.files):
            if not file.status.settled:
                copies.set(number, status=MediaStatus.LEFT)
        result, media = without_data(copies.result, copies.told())
        if again:  # an earlier attempt may have copied other bytes
            kept = {file.key for file in media}
            await self._in_turn(job, lambda _: self._forget_others(job.request_id, kept))
        update = Kept(result, media) if job.keeping else Relinked(result, media)
        return (await self._dispatcher.apply(job.request_id, update)).before is not None

    def _forget_others(self, request_id: str, kept: set[str | None]) -> None:
        found = [stored.key for stored in self._storage.files(folder_of(request_id))]
        self._storage.remove([key for key in found if key not in kept])

    async def _in_turn(self, job: Job, work: Callable[[Stop], _T]) -> _T:
        return await self._turns.run(job.request_id, work)


class _Copies:
    """The files of one result while they are copied. `progress` of each is set by the thread that copies it."""

    def __init__(self, request_id: str, result: Raw, files: tuple[MediaFile, ...]) -> None:
        self.result = result
        self.files = list(files)
        self._request_id = request_id
        self._told = files

    @property
    def news(self) -> bool:
        """True when something has changed since it was told."""
        return tuple(self.files) != self._told

    def told(self) -> tuple[MediaFile, ...]:
        """Return the files as they are, to be told now."""
        self._told = tuple(self.files)
        return self._told

    def set(self, number: int, **changes: Any) -> None:
        """Change a file."""
        self.files[number] = replace(self.files[number], **changes)

    def copy(self, copier: Copier, number: int, stop: Stop) -> Copied:
        """Copy one file, in a thread. Raises Left, Interrupted and Stopped."""
        file, place = self.files[number], Place(self._request_id, number)
        self.set(number, status=MediaStatus.COPYING, bytes=0, error=None)
        if file.source.startswith(DATA):
            inline, spot = bytes(self.result), file.spots[0]
            return copier.copy_inline(inline, spot, file.source, place, called_a_file=file.called_a_file, stop=stop)
        return copier.copy_url(
            file.source,
            place,
            called_a_file=file.called_a_file,
            stop=stop,
            progress=lambda count, length: self.set(number, bytes=count, size=length),
        )
