"""Writes fal's reports on one followed job as states, at a limited rate."""

import asyncio
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from hookcast.dispatcher import Dispatcher
from hookcast.errors import StoreUnavailable
from hookcast.jobs import Finished, Phase, Progressed
from hookcast.loglines import aligned
from hookcast.logs import get_logger
from hookcast.tasks import Tasks

MIN_GAP_SECONDS = 0.2  # at most 5 states per second and job
MAX_PAUSE_SECONDS = 30.0
WEBHOOK_GRACE_SECONDS = 3.0

_log = get_logger(__name__)


class Pump:
    """Turns reports into states at a limited rate; the newest phase wins, no log line is left out.

    `news` = it changed the job. `over` = the stream can bring nothing more: the job has ended, or its result is being
    fetched.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        request_id: str,
        owner: Tasks,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._dispatcher = dispatcher
        self._request_id = request_id
        self._owner = owner
        self._sleep = sleep
        self._next: Progressed | None = None
        self._writer: asyncio.Task[None] | None = None
        self._closed = False
        self.news = False
        self.over = False

    def put(self, report: Progressed) -> None:
        """Write the report as soon as the rate limit allows."""
        self._next = _merged(self._next, report)
        if self._writer is None or self._writer.done():
            self._writer = self._owner.start(self._request_id, self._write)

    async def flush(self) -> None:
        """Wait for the last write. Cancelling the wait does not cancel the write."""
        if self._writer is not None:
            await asyncio.wait({self._writer})

    def close(self) -> None:
        """Stop retrying: pending reports are still written, but a failed write is the last."""
        self._closed = True

    async def _write(self) -> None:
        pause = MIN_GAP_SECONDS
        while self._next is not None and not self.over:
            report, self._next = self._next, None
            if await self._stored(report):
                pause = MIN_GAP_SECONDS
            elif self._closed:
                return
            else:
                self._next = _merged(report, self._next)
                pause = min(pause * 2, MAX_PAUSE_SECONDS)
            await self._sleep(pause)

    async def _stored(self, report: Progressed) -> bool:
        finished = report.phase is Phase.SAVING
        try:
            update = Finished(logs=report.logs) if finished else report
            change = await self._dispatcher.apply(self._request_id, update, patience=WEBHOOK_GRACE_SECONDS)
        except StoreUnavailable as error:
            _log.warning("progress_not_stored", request_id=self._request_id, reason=str(error))
            return False
        self.news = self.news or change.changed
        self.over = finished or change.after.status.terminal
        return True


def _merged(earlier: Progressed | None, later: Progressed | None) -> Progressed | None:
    if earlier is None or later is None:
        return earlier or later
    return replace(later, logs=aligned(earlier.logs, later.logs))
