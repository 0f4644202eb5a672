"""Keeps the files of results: the durable work `keep`, `relink` for older jobs, `tidy`, and `erase` of a removed job's.

A file that is copied again has the same key, so that an attempt may end anywhere and be repeated on any node. A node
that was frozen goes on for a moment after another has taken over: it removes no file itself. `tidy` removes what other
attempts have left beside the kept files once it must have noticed, and `erase` looks again by then.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from hookcast.consequences import TIDY_SECONDS, Kind
from hookcast.dispatcher import Dispatcher
from hookcast.errors import StoreUnavailable
from hookcast.jobs import Clock, Copying, Job, JobStatus, Kept, MediaFile, MediaStatus, Relinked
from hookcast.keeping import named_files
from hookcast.links import DATA, without_data
from hookcast.logs import get_logger
from hookcast.media.copying import Copied, Copier, Place
from hookcast.media.failures import Interrupted, Left, StorageFailed
from hookcast.media.parts import Media
from hookcast.media.stopping import Stop
from hookcast.media.storage import folder_of
from hookcast.store import JobStore, Piece
from hookcast.upkeep.worker import Done, Handler, Later, Outcome

REPORT_SECONDS = 0.5  # between two states of a job whose files are copied
MAX_PAUSE_SECONDS = 300.0  # between two attempts
GIVE_UP_AFTER = timedelta(hours=24)  # of a file that can be neither copied nor refused; fal's links live for days
MAX_JOBS = 64  # at once on a node; how many copies run is the operator's choice
MAX_RELINKS = 2  # jobs at once on a node, beside those that users wait for
LARGE_BYTES = 256 * 1024  # of a result with `data:` URIs, which is in memory while its files are copied
MAX_LARGE = 4  # of these jobs at once
REPORTED_BYTES = 4_000_000.0  # of a large result, which is written with each state, a second
MAX_WAIT_SECONDS = 3600.0  # that a host may ask for
MAX_COPY_SECONDS = 6 * 3600.0  # of one attempt; the next one goes on with the files that are left
MAX_ERASE_SECONDS = 600.0

FAULT = "Hookcast failed to copy this file."

_T = TypeVar("_T")
_log = get_logger(__name__)


class Tally(Protocol):
    """Counts copies."""

    def copied(self, count: int, seconds: float) -> None:
        """Count a file of `count` bytes that was copied."""

    def not_copied(self, reason: str) -> None:
        """Count an attempt that failed."""


class _Facts(Struct, omit_defaults=True):
    """The facts of a piece: the last pause, the time it began; the files so far, if no job has them."""

    pause: float = 0.0
    since: datetime | None = None
    media: tuple[MediaFile, ...] = ()


class _Erasure(Struct, omit_defaults=True):
    """The facts of an erasure: whether it has looked once."""

    looked: bool = False


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
        self._large = asyncio.Semaphore(MAX_LARGE)

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers of the kinds of work."""
        return {
            Kind.KEEP: Handler(self.keep, MAX_JOBS, MAX_COPY_SECONDS),
            Kind.RELINK: Handler(self.relink, MAX_RELINKS, MAX_COPY_SECONDS),
            Kind.TIDY: Handler(self.tidy, MAX_JOBS, MAX_ERASE_SECONDS),
            Kind.ERASE: Handler(self.erase, MAX_JOBS, MAX_ERASE_SECONDS),
        }

    async def keep(self, piece: Piece) -> Outcome:
        """Copy the files of a job that are not settled; it is Done when the job is completed, or gone."""
        outline = await self._store.outline(piece.request_id)
        large = outline is not None and outline.left_out > LARGE_BYTES
        async with self._large if large else nullcontext():
            return await self._keep(piece)

    async def _keep(self, piece: Piece) -> Outcome:
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
        """Remove the files of a job that was removed, twice. One that a late webhook has made anew keeps its own."""
        if await self._store.outline(piece.request_id) is not None:
            return await self.tidy(piece)
        count = await self._in_turn(piece.request_id, lambda _: self._storage.delete(folder_of(piece.request_id)))
        _log.info("files_removed", request_id=piece.request_id, files=count)
        if msgspec.json.decode(piece.facts, type=_Erasure).looked:
            return Done()
        return Later(TIDY_SECONDS, msgspec.json.encode(_Erasure(looked=True)).decode())

    async def tidy(self, piece: Piece) -> Outcome:
        """Remove the files of a job that it does not name, if it has ended."""
        job = await self._store.get(piece.request_id)
        if job is not None and job.status.terminal:
            named = {file.key for file in job.media}
            await self._in_turn(piece.request_id, lambda _: self._remove_others(piece.request_id, named))
        return Done()

    async def _attempt(self, piece: Piece, job: Job, copies: "_Copies") -> Outcome:
        facts = msgspec.json.decode(piece.facts, type=_Facts)
        facts.since = facts.since or self._clock()
        overdue = self._clock() - facts.since - GIVE_UP_AFTER
        if piece.attempts > 1:
            with suppress(StorageFailed):  # the copies tell it, if it lasts; `tidy` looks again
                await self._in_turn(job.request_id, lambda _: self._storage.discard(folder_of(job.request_id)))
        too_late = overdue.total_seconds() > MAX_COPY_SECONDS  # attempts that did not even end
        wait = None if too_late else await self._copied(job, copies)
        if wait is not None and overdue < timedelta():
            facts.pause = min(max(facts.pause, 0.5) * 2, MAX_PAUSE_SECONDS)
            facts.media = () if job.keeping else copies.told()
            return Later(max(facts.pause, min(wait, MAX_WAIT_SECONDS)), msgspec.json.encode(facts).decode())
        if await self._end(job, copies, untidy=piece.attempts > 1):
            return Done()
        return await self.erase(piece)

    async def _copied(self, job: Job, copies: "_Copies") -> float | None:
        """Copy what is not settled, telling watchers; return the least seconds until another attempt, None = done."""
        todo = [number for number, file in enumerate(copies.files) if not file.status.settled]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._copy(job, copies, number)) for number in todo]
            while any(not task.done() for task in tasks):
                await asyncio.wait(tasks, timeout=REPORT_SECONDS + len(copies.content) / REPORTED_BYTES)
                if copies.news and any(not task.done() for task in tasks):
                    await self._tell(job, copies)
        waits = [wait for task in tasks if (wait := task.result()) is not None]
        if waits:
            await self._tell(job, copies)
        return min(waits, default=None)

    async def _tell(self, job: Job, copies: "_Copies") -> None:
        """Tell watchers how far the files are; nobody waits for those of a job that was completed before.

        What cannot be stored now ends no copy: it is told the next time.
        """
        if not job.keeping:
            return
        try:
            await self._dispatcher.apply(job.request_id, Copying(copies.told()))
        except StoreUnavailable as error:
            _log.warning("copies_not_told", request_id=job.request_id, reason=str(error))

    async def _copy(self, job: Job, copies: "_Copies", number: int) -> float | None:
        """Copy one file; return None once it is settled, else the least seconds until another attempt."""
        try:
            copied = await self._in_turn(job.request_id, partial(self._counted, copies, number))
        except Left as error:
            self._tally.not_copied(error.reason)
            copies.set(number, status=MediaStatus.LEFT, bytes=0, error=str(error))
            _log.info("file_left", request_id=job.request_id, file=number, reason=error.reason, error=str(error))
        except Interrupted as error:
            self._tally.not_copied(error.reason)
            copies.set(number, status=MediaStatus.WAITING, bytes=0, error=str(error))
            _log.warning("file_not_copied", request_id=job.request_id, file=number, reason=str(error))
            return error.after or 0.0
        except Exception as error:  # noqa: BLE001 - the fault is of this file alone
            copies.set(number, status=MediaStatus.WAITING, bytes=0, error=FAULT)
            _log.error("file_not_copied", request_id=job.request_id, file=number, exc_info=error)
            return 0.0
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

    async def _end(self, job: Job, copies: "_Copies", *, untidy: bool) -> bool:
        """Settle the files: those that could not be copied in time are left. Return whether the job is still there."""
        for number, file in enumerate(copies.files):
            if not file.status.settled:
                copies.set(number, status=MediaStatus.LEFT)
        result, media = without_data(copies.result, copies.told())
        update = Kept(result, media, untidy) if job.keeping else Relinked(result, media, untidy)
        return (await self._dispatcher.apply(job.request_id, update)).before is not None

    def _remove_others(self, request_id: str, named: set[str | None]) -> None:
        self._storage.discard(folder_of(request_id))
        found = [stored.key for stored in self._storage.files(folder_of(request_id))]
        self._storage.remove([key for key in found if key not in named])

    async def _in_turn(self, request_id: str, work: Callable[[Stop], _T]) -> _T:
        return await self._turns.run(request_id, work)


class _Copies:
    """The files of one result while they are copied. `progress` of each is set by the thread that copies it."""

    def __init__(self, request_id: str, result: Raw, files: tuple[MediaFile, ...]) -> None:
        self.result = result
        self.content = bytes(result)
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
            spot = file.spots[0]
            return copier.copy_inline(
                self.content, spot, file.source, place, called_a_file=file.called_a_file, stop=stop
            )
        return copier.copy_url(
            file.source,
            place,
            called_a_file=file.called_a_file,
            stop=stop,
            progress=lambda count, length: self.set(number, bytes=count, size=length),
        )
