"""Runs the durable work: claims pieces that are due and passes them to the handler of their kind.

Any node may run any piece. A claim is a lease that is renewed while the handler runs; when the node dies, hangs or
loses the database, the lease ends and another node runs the piece again. A handler must therefore allow for repetition.
Work committed on this node begins at once; other work within a second.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from msgspec import Struct

from hookcast.errors import FalUnreachable, StoreUnavailable, Unavailable
from hookcast.logs import get_logger
from hookcast.media.failures import StorageFailed
from hookcast.store import Batch, Piece, Record, WorkTable
from hookcast.tasks import Tasks, beside, repeat

LOOK_SECONDS = 1.0
SOON_SECONDS = 0.01  # the shortest pause between two looks
CROWDED_SECONDS = 0.5  # the same, while the node is crowded
CROWDED_STEP = 64  # pieces that may begin with a look then, of a kind that yields
MAX_PAUSE_SECONDS = 10.0  # between two looks while the database is unavailable
LEASE_SECONDS = 10.0
RENEW_SECONDS = 3.0
MISSES = 2  # of a lease; one may be a piece that its own handler has just ended
RELEASE_SECONDS = 2.0
MAX_AGAIN_SECONDS = 300.0  # until a piece whose handler failed runs again

_log = get_logger(__name__)


class Done(NamedTuple):
    """The piece is done, and is deleted."""


class Later(NamedTuple):
    """The piece runs again in `seconds`, with new facts (None = the same)."""

    seconds: float
    facts: str | None = None


Outcome = Done | Later


class Handler(NamedTuple):
    """Runs the pieces of one kind: at most `at_once` on a node, and each for at most `seconds` at a time.

    `overdue` is for a substitute: it takes only what no other node has taken for that many seconds. `light`: its pieces
    come without their facts, which may be large. `yields`: while the node is crowded, few of them begin.
    """

    run: Callable[[Piece], Awaitable[Outcome]]
    at_once: int
    seconds: float
    overdue: float = 0.0
    light: bool = False
    yields: bool = False


class _Held(Struct):
    """A piece that this node has claimed, and the deadline of its handler.

    `anew` is the same piece, begun anew meanwhile: it runs next, and what becomes of this run does not count.
    """

    piece: Piece
    anew: Piece | None = None
    scope: asyncio.Timeout | None = None
    misses: int = 0

    def miss(self) -> None:
        """Note that the lease was not renewed: cancel the handler unless it may be about to return."""
        self.misses += 1
        if self.misses >= MISSES and self.scope is not None and not self.scope.expired():
            self.scope.reschedule(asyncio.get_running_loop().time())


class Worker:
    """Runs the pieces of the kinds that have a handler; `node` names this node in the table.

    `crowded` returns whether the node has as much to do as it can, so that work that yields gives way.
    """

    def __init__(
        self,
        table: WorkTable,
        handlers: Mapping[str, Handler],
        node: str,
        crowded: Callable[[], bool] = lambda: False,
    ) -> None:
        self._crowded = crowded
        self._table = table
        self._handlers = handlers
        self._node = node
        self._tasks = Tasks()
        self._records: Batch[Record, bool] = Batch(self._write)
        self._held: dict[str, _Held] = {}
        self._pause = LOOK_SECONDS
        self._least = 0.0
        self._wake = asyncio.Event()
        self._wake.set()  # look at once after the start

    def wake(self) -> None:
        """Look for work at once: some has been committed."""
        self._wake.set()

    async def run(self) -> None:
        """Run the work until cancelled; then give back what has not been finished."""
        renewing = repeat(self.renew, lambda: RENEW_SECONDS, asyncio.sleep, failed="work_not_renewed")
        try:
            async with self._tasks.owned(), beside(renewing, self._records.run()):
                await repeat(self.look, self._until_next, self._rest, failed="worker_pauses", longest=MAX_PAUSE_SECONDS)
        finally:
            await self._give_back()

    async def look(self) -> None:
        """Claim what is due and start its handlers. Raises StoreUnavailable."""
        running = Counter(held.piece.kind for held in self._held.values())
        crowded = self._crowded()
        free = {
            kind: min(handler.at_once - running[kind], CROWDED_STEP if handler.yields and crowded else handler.at_once)
            for kind, handler in self._handlers.items()
        }
        found = await self._table.next_due(kind for kind, count in free.items() if count > 0)
        due = {kind: seconds + self._handlers[kind].overdue for kind, seconds in found.items()}
        latest = LOOK_SECONDS * random.uniform(0.8, 1.0)  # noqa: S311
        self._least = CROWDED_SECONDS if crowded else 0.0
        self._pause = max(SOON_SECONDS, min([latest, *(seconds for seconds in due.values() if seconds > 0)]))
        for kind in (kind for kind, seconds in due.items() if seconds <= 0):
            handler = self._handlers[kind]
            claimed = await self._table.claim(
                kind, free[kind], self._node, LEASE_SECONDS, overdue=handler.overdue, light=handler.light
            )
            for piece in claimed:
                self._start(piece)

    async def renew(self) -> None:
        """Renew the leases of what runs here, and cancel handlers whose lease is lost. Raises StoreUnavailable."""
        asked = dict(self._held)
        if not asked:
            return
        ours = await self._table.renew(asked, self._node, LEASE_SECONDS)
        for name, held in asked.items():
            if name in ours:
                held.misses = 0
            else:
                held.miss()

    def _until_next(self) -> float:
        return self._pause

    async def _rest(self, seconds: float) -> None:
        await asyncio.sleep(self._least)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()

    def _start(self, piece: Piece) -> None:
        running = self._held.get(piece.id)
        if running is not None:  # its lease had ended here, and it has a new one; or its attempts count from 1 again
            running.anew = piece if piece.attempts <= running.piece.attempts else running.anew
            return
        held = _Held(piece)
        if self._tasks.start(piece.request_id, self._run, held) is not None:
            self._held[piece.id] = held

    async def _run(self, held: _Held) -> None:
        piece = held.piece
        try:
            outcome = await self._outcome(held)
            if held.anew is None:
                await self._record(piece, outcome)
        except StoreUnavailable as error:  # its lease ends, and it runs again
            _log.warning("work_not_recorded", kind=piece.kind, request_id=piece.request_id, reason=str(error))
        finally:
            del self._held[piece.id]
            if held.anew is not None:
                self._start(held.anew)
            self._wake.set()

    async def _record(self, piece: Piece, outcome: Outcome | None) -> None:
        if isinstance(outcome, Done):
            await self._records.ask(Record(piece.id, self._node))
        elif outcome is not None:
            await self._records.ask(Record(piece.id, self._node, outcome.seconds, outcome.facts))

    async def _write(self, records: Sequence[Record]) -> list[bool]:
        return await self._table.record(records)

    async def _outcome(self, held: _Held) -> Outcome | None:
        """Return the outcome of the handler; None when another node has taken the piece."""
        piece = held.piece
        handler = self._handlers[piece.kind]
        about = {"kind": piece.kind, "request_id": piece.request_id, "attempts": piece.attempts}
        try:
            async with asyncio.timeout(handler.seconds) as held.scope:
                return await handler.run(piece)
        except (FalUnreachable, StorageFailed, Unavailable) as error:
            _log.warning("work_postponed", **about, reason=str(error))
        except Exception as error:  # noqa: BLE001 - the fault is of this piece alone
            if held.misses >= MISSES:
                _log.info("work_lost", **about)
                return None
            _log.error("work_failed", **about, exc_info=error)
        return Later(_again(piece.attempts))

    async def _give_back(self) -> None:
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._table.release(self._node)
        except (StoreUnavailable, TimeoutError) as error:  # the leases end
            _log.warning("work_not_released", reason=str(error))


def _again(attempts: int) -> float:
    """Return the seconds until a failed piece runs again: doubled with each attempt, jittered, up to a limit."""
    return min(0.5 * 2.0 ** min(attempts, 16), MAX_AGAIN_SECONDS) * random.uniform(0.5, 1.0)  # noqa: S311
